#!/usr/bin/env python3
"""Many TCP connections that live long: one end of them.

  many-connections.py serve PORT             echoes whatever comes, on any number of connections
  many-connections.py hold ADDRESS PORT N    opens N connections, then obeys lines of standard input:
      check   sends a byte on each and awaits it back; prints "N answered"
      open M  opens M more, each must answer; prints "M opened"
"""
import resource
import selectors
import socket
import sys
import time

PATIENCE = 60


def serve(port):
    sel = selectors.DefaultSelector()
    listener = socket.create_server(("", port), backlog=4096)
    listener.setblocking(False)
    sel.register(listener, selectors.EVENT_READ)
    print("listening", flush=True)
    while True:
        for key, _ in sel.select():
            if key.fileobj is listener:
                conn, _ = listener.accept()
                conn.setblocking(False)
                sel.register(conn, selectors.EVENT_READ)
                continue
            try:
                data = key.fileobj.recv(4096)
                if data:
                    key.fileobj.send(data)
            except OSError:
                data = b""
            if not data:
                sel.unregister(key.fileobj)
                key.fileobj.close()


def connect(address, port):
    conn = socket.create_connection((address, port), timeout=PATIENCE)
    conn.setblocking(False)
    return conn


def check(conns):
    sel = selectors.DefaultSelector()
    for conn in conns:
        try:
            conn.send(b"x")
            sel.register(conn, selectors.EVENT_READ)
        except OSError:
            pass
    answered, end = 0, time.monotonic() + PATIENCE
    while sel.get_map() and time.monotonic() < end:
        for key, _ in sel.select(timeout=1):
            try:
                answered += bool(key.fileobj.recv(16))
            except OSError:
                pass
            sel.unregister(key.fileobj)
    return answered


def hold(address, port, n):
    conns = [connect(address, port) for _ in range(n)]
    print(check(conns), "opened", flush=True)
    for line in sys.stdin:
        words = line.split()
        if words[0] == "check":
            print(check(conns), "answered", flush=True)
        elif words[0] == "open":
            more = [connect(address, port) for _ in range(int(words[1]))]
            print(check(more), "opened", flush=True)
            conns += more


soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 16384), hard))
if sys.argv[1] == "serve":
    serve(int(sys.argv[2]))
else:
    hold(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
