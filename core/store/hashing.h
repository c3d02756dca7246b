/* uthash and utlist with the hash function of core/base/hash.h and memory that can't fail. */
#ifndef MN_STORE_HASHING_H
#define MN_STORE_HASHING_H

#include "base/hash.h"

#define HASH_FUNCTION(key, size, value) ((value) = (unsigned)hash_bytes(key, size, 0))
#include <uthash.h>
#include <utlist.h>

#endif
