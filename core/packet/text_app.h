/* DHCP, DHCPv6 and router discovery in words: what the files text_app_*.c share.
 *
 *   dhcp discover|request|decline|release|inform|offer|ack|nak
 *        mac MAC  yiaddr|ciaddr|siaddr|giaddr IP  xid N  option NAME VALUE  no-option NAME
 *   dhcp6 solicit|request|confirm|renew|rebind|release|decline|information-request|advertise|reply
 *        duid HEX  server HEX  xid N  rapid  status N  dns IP,...  no-dns
 *        ia N [address IP [valid N]]... [status N]       likewise  ta N, pd N
 *   rs [SRC]                 ra [SRC]
 *        flags M|O|MO|none  lifetime N  mtu N  no-mtu  prefix NET  slaac NET  no-slaac NET
 *        dns IP  no-dns
 *
 * Each word is an item of the list that building and matching go through. */
#ifndef MN_PACKET_TEXT_APP_H
#define MN_PACKET_TEXT_APP_H

#include "base/mem.h"
#include "packet/dhcp.h"
#include "packet/dhcp6.h"
#include "packet/packet.h"
#include "packet/ra.h"
#include "packet/text_words.h"
#include "packet/wire.h"

enum { KIND_NONE, KIND_DHCP, KIND_DHCP6, KIND_RS, KIND_RA, N_KINDS };

enum what {
    W_CHADDR,
    W_YIADDR,
    W_CIADDR,
    W_SIADDR,
    W_GIADDR,
    W_XID,
    W_OPTION,
    W_NO_OPTION,
    W_DUID,
    W_SERVER,
    W_RAPID,
    W_IA,
    W_TA,
    W_PD,
    W_ADDRESS,
    W_VALID,
    W_STATUS,
    W_DNS,
    W_NO_DNS,
    W_FLAGS,
    W_LIFETIME,
    W_MTU,
    W_NO_MTU,
    W_PREFIX,
    W_SLAAC,
    W_NO_SLAAC,
};

static inline uint16_t app_ia_code(uint8_t what)
{
    return what == W_IA ? DHCP6_OPT_IA_NA : what == W_TA ? DHCP6_OPT_IA_TA : DHCP6_OPT_IA_PD;
}

/* Sent by a client? */
bool app_client_type(const struct packet_app *app);

#endif
