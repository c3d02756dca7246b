/* For targets in which something lives through all inputs: a loader, an exchange, an agent.  Memory
 * comes and goes across inputs then: asked after each of them, LeakSanitizer would only cost time.
 * The unit tests look for leaks. */
#ifndef MN_TESTS_FUZZ_LIFE_H
#define MN_TESTS_FUZZ_LIFE_H

#include <stdint.h>
#include <stdlib.h>

#define CHECK(x)                                                                                   \
    do {                                                                                           \
        if (!(x))                                                                                  \
            abort();                                                                               \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
    return 1;
}

#endif
