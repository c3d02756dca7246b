/* What openvswitch.ko, or something that looks like it, may answer: attributes of any kind and
 * size, as a flow's key, as its actions, as an upcall. */
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <stdlib.h>

#include "base/mem.h"
#include "datapath/ovs_internal.h"
#include "datapath/ovs_view.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct strbuf sb = {0};
    struct nlattr *attrs[OVS_FLOW_ATTR_MAX + 1];
    struct flow_key key;

    if (size > 4096)
        return 0;
    size_t room = NLMSG_HDRLEN + NLA_HDRLEN + size + sizeof(struct ovs_note);
    struct nlmsghdr *h = mem_zalloc(room);
    struct nlattr *nest = mem_alloc(NLA_HDRLEN + size + 1);
    struct ovs_note *note = mem_alloc(OVS_NOTE_ROOM);

    nest->nla_type = 0;
    nest->nla_len = (uint16_t)(NLA_HDRLEN + size);
    memcpy(nest + 1, data, size);
    ovs_view_key(nest, &key);
    ovs_view_actions(nest, &sb);
    ovs_note_read(nest, note);
    memcpy(NLMSG_DATA(h), data, size);
    h->nlmsg_len = (uint32_t)NLMSG_LENGTH(size);
    if (!ovs_attrs(h, attrs, OVS_FLOW_ATTR_MAX) && attrs[OVS_FLOW_ATTR_ACTIONS]) {
        ovs_view_actions(attrs[OVS_FLOW_ATTR_ACTIONS], &sb);
        ovs_note_read(attrs[OVS_FLOW_ATTR_ACTIONS], note);
    }
    sb_free(&sb);
    free(note);
    free(nest);
    free(h);
    return 0;
}
