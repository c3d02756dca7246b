#!/usr/bin/env python3
"""A thousand UDP packets a second, each of which should be answered.

  stream.py serve PORT              echoes
  stream.py send ADDRESS PORT N     over N connections in turn; prints "N answered" when each was,
                                    then obeys lines of standard input:
      count   prints "S sent, L lost": packets since the last count, or since all were answered, and
              of one more second
"""
import os
import selectors
import socket
import sys
import time

SO_RCVBUFFORCE = 33  # more than the machine's limit: a slow reader is no loss
RATE = 1000
PATIENCE = 10  # seconds that an answer may take; one that takes longer is lost
BURST = 50  # packets at once, when this process was late; what is beyond isn't sent at all


def udp():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 23)
    return s


def serve(port):
    s = udp()
    s.bind(("", port))
    print("listening", flush=True)
    while True:
        data, who = s.recvfrom(64)
        try:
            s.sendto(data, who)
        except OSError:
            pass


def send_on(sock, number):
    try:
        sock.send(b"%d" % number)
    except OSError:  # an ICMP error of an earlier one
        pass


def heard(sel, outstanding, timeout):
    """Strikes out what was answered; true when standard input has something."""
    commanded = False
    for key, _ in sel.select(timeout):
        if key.fd == 0:
            commanded = True
            continue
        try:
            outstanding.discard(int(key.fileobj.recv(64)))
        except OSError:
            pass
    return commanded


def send(address, port, n):
    sel, socks = selectors.DefaultSelector(), [udp() for _ in range(n)]
    for s in socks:
        s.connect((address, port))
        s.setblocking(False)
        sel.register(s, selectors.EVENT_READ)
    outstanding = set(range(n))
    while outstanding:
        for i in list(outstanding):
            send_on(socks[i], i)
        end = time.monotonic() + 0.5
        while outstanding and time.monotonic() < end:
            heard(sel, outstanding, 0.1)
    print(n, "answered", flush=True)
    sel.register(0, selectors.EVENT_READ)
    stream(sel, socks, n)


def stream(sel, socks, first):
    outstanding, counting = set(), None  # until when to send what is counted, then up to which packet
    number = since = first
    start = time.monotonic()
    while True:
        now = time.monotonic()
        start = max(start, now - (number - first + BURST) / RATE)
        while number < first + (now - start) * RATE:
            outstanding.add(number)
            send_on(socks[number % len(socks)], number)
            number += 1
        if heard(sel, outstanding, 0.0005):
            if not os.read(0, 4096):
                return
            counting, upto = now + 1, None
        if counting and upto is None and now >= counting:
            upto = number
        if counting and upto is not None:
            lost = {x for x in outstanding if x < upto}
            if lost and now < counting + PATIENCE:
                continue
            outstanding -= lost
            print(f"{upto - since} sent, {len(lost)} lost", flush=True)
            since, counting = upto, None


if sys.argv[1] == "serve":
    serve(int(sys.argv[2]))
else:
    send(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
