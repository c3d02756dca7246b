# mn: build, test, install.
#
#   make               build/mn and its symlinks        make check     all tests (root)
#   make deps          install Debian packages          make demo      two hosts, one overlay (root)
#   make SAN=1 ...     the same with ASan and UBSan     make bench     one table of figures (root)
#
# Sources are found by folder: a new core/*/x.c or tests/unit/x_test.c needs no line here.

VERSION  := 0.1.0
BUILD    ?= build$(if $(SAN),-san)$(if $(TSAN),-tsan)
PREFIX   ?= /usr/local
EDITOR   ?= libedit
CC       := gcc
CLANG    := clang
Q        := $(if $(V),,@)

PKGS     := jansson sqlite3 libuv liburcu-qsbr libbpf libnl-3.0 libnl-genl-3.0 libnl-route-3.0
WARN     := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
            -Wno-missing-field-initializers
CFLAGS   ?= -O2 -g
ALLFLAGS  = -std=gnu17 $(CFLAGS) $(WARN) -fno-strict-aliasing -pthread -Icore -Imn -I$(BUILD)/gen \
            -D_GNU_SOURCE -DTHREADED -DMN_VERSION='"$(VERSION)"' -DMN_PREFIX='"$(PREFIX)"' \
            -MMD -MP $(PKG_CFLAGS)
LIBS      = $(PKG_LIBS) -lzookeeper_mt -lm -pthread
ifdef SAN
# instrumented code hides from the compiler what it knows in the plain build: no guesses about lengths
ALLFLAGS += -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -O1 \
            -Wno-format-truncation
LDFLAGS  += -fsanitize=address,undefined
endif
ifdef TSAN
ALLFLAGS += -fsanitize=thread -O1
LDFLAGS  += -fsanitize=thread
endif
ifneq ($(filter-out deps clean format,$(or $(MAKECMDGOALS),all)),)
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
PKG_LIBS   := $(shell pkg-config --libs $(PKGS) 2>/dev/null)
ifeq ($(EDITOR),readline)
PKG_LIBS   += -lreadline
ALLFLAGS   += -DMN_EDITOR_READLINE
else
PKG_LIBS   += -ledit
endif
endif

TOOLS    := mn-agent mn-cli mn-tunnelzone
CORE_SRC := $(wildcard core/*/*.c)
CORE_OBJ := $(CORE_SRC:%.c=$(BUILD)/obj/%.o)
TOOL_SRC := $(wildcard mn/*.c $(TOOLS:%=%/*.c))
TOOL_OBJ := $(TOOL_SRC:%.c=$(BUILD)/obj/%.o)
BPF_SRC  := $(wildcard core/datapath/bpf/*.bpf.c)
BPF_OBJ  := $(BPF_SRC:core/datapath/bpf/%.bpf.c=$(BUILD)/gen/%.bpf.o)
UNIT_SRC := $(wildcard tests/unit/*_test.c)
UNIT     := $(UNIT_SRC:tests/unit/%.c=$(BUILD)/unit/%)
FUZZ_SRC := $(wildcard tests/fuzz/*_fuzz.c)
FUZZ     := $(FUZZ_SRC:tests/fuzz/%.c=$(BUILD)/fuzz/%)
BENCH_SRC := $(wildcard tests/bench/*_bench.c)
BENCH    := $(BENCH_SRC:tests/bench/%.c=$(BUILD)/bench/%)

all: $(BUILD)/mn $(TOOLS:%=$(BUILD)/%)
.PHONY: all
.SECONDARY:
.DELETE_ON_ERROR:

$(BUILD)/mn: $(TOOL_OBJ) $(BUILD)/libmncore.a
	@echo "  LINK $@"
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

$(TOOLS:%=$(BUILD)/%): $(BUILD)/mn
	$(Q)ln -sf mn $@

$(BUILD)/obj/tests/unit/%.o: ALLFLAGS += -DMN_DATA_SRC='"$(CURDIR)"' # files of the tree that tests read

$(BUILD)/libmncore.a: $(CORE_OBJ)
	@echo "  AR   $@"
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC   $<"
	$(Q)$(CC) $(ALLFLAGS) -c -o $@ $<

# The eBPF programs become part of the binary (core/datapath/ebpf*.c takes them in by .incbin).
$(BUILD)/gen/%.bpf.o: core/datapath/bpf/%.bpf.c $(wildcard core/datapath/bpf/*.h core/datapath/*.h)
	@mkdir -p $(@D)
	@echo "  BPF  $<"
	$(Q)$(CLANG) -O2 -g -target bpf -mcpu=v3 -Wall -Werror -Icore -I/usr/include/$(shell $(CC) -print-multiarch) -c -o $@ $<
$(filter $(BUILD)/obj/core/datapath/%,$(CORE_OBJ)): $(BPF_OBJ)

# cmocka has a print_error() of its own: ours must not take its place.
$(BUILD)/unit/%: $(BUILD)/obj/tests/unit/%.o $(BUILD)/libmncore.a
	@mkdir -p $(@D)
	@echo "  LINK $@"
	$(Q)$(CC) $(LDFLAGS) -Wl,--exclude-libs,ALL -o $@ $^ $(LIBS) -lcmocka
$(BUILD)/unit/mn_turns_test: $(BUILD)/obj/mn-agent/turns.o # a tool's, that is: not in the library
$(BUILD)/bench/%: $(BUILD)/obj/tests/bench/%.o $(BUILD)/libmncore.a
	@mkdir -p $(@D)
	@echo "  LINK $@"
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

# Fuzz targets: clang's libFuzzer over the core sources they need, all of it instrumented.
FUZZ_OBJ := $(CORE_SRC:%.c=$(BUILD)/fuzzobj/%.o)
FUZZ_FLAGS = $(filter-out -Werror,$(ALLFLAGS)) -Wno-everything -O1 -fsanitize=fuzzer-no-link,address,undefined
$(BUILD)/fuzzobj/%.o: %.c
	@mkdir -p $(@D)
	@echo "  FUZZ $<"
	$(Q)$(CLANG) $(FUZZ_FLAGS) -c -o $@ $<
$(filter $(BUILD)/fuzzobj/core/datapath/%,$(FUZZ_OBJ)): $(BPF_OBJ)
$(BUILD)/fuzz/libmncore.a: $(FUZZ_OBJ)
	@mkdir -p $(@D)
	$(Q)rm -f $@ && $(AR) rcs $@ $^
$(BUILD)/fuzz/control_fuzz: $(patsubst %,$(BUILD)/fuzzobj/mn-agent/%.o,server barrier startup)
$(BUILD)/fuzz/%: $(BUILD)/fuzzobj/tests/fuzz/%.o $(BUILD)/fuzz/libmncore.a
	@echo "  LINK $@"
	$(Q)$(CLANG) -fsanitize=fuzzer,address,undefined -o $@ $(filter %.o,$^) $(filter %.a,$^) $(LIBS)

unit: $(UNIT)
bench-bins: $(BENCH)
fuzz-bins: $(FUZZ)
.PHONY: unit bench-bins fuzz-bins check check-quick demo bench fuzz deps install clean format

# What each test is and how it is run: tests/run.  (The build is a make of its own where packages may
# have to be installed first: what pkg-config says is read when make starts.)
check: deps
	$(Q)$(MAKE) --no-print-directory all unit
	$(Q)tests/run all
check-quick: all unit
	$(Q)tests/run quick
fuzz: fuzz-bins
	$(Q)tests/run fuzz
bench: deps
	$(Q)$(MAKE) --no-print-directory all bench-bins
	$(Q)tests/bench/run
demo: deps
	$(Q)$(MAKE) --no-print-directory all
	$(Q)tests/functional/demo $(if $(DATAPATH),on $(DATAPATH))
deps:
	$(Q)tests/deps

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/bash-completion/completions
	install -m 755 $(BUILD)/mn $(DESTDIR)$(PREFIX)/bin/mn
	for t in $(TOOLS); do ln -sf mn $(DESTDIR)$(PREFIX)/bin/$$t; done
	for f in $(wildcard completions/*.bash); do \
	    install -m 644 $$f $(DESTDIR)$(PREFIX)/share/bash-completion/completions/$$(basename $$f .bash); done
	for f in $(wildcard docs/man/*.[1-8]); do \
	    install -D -m 644 $$f $(DESTDIR)$(PREFIX)/share/man/man$${f##*.}/$$(basename $$f); done

clean:
	rm -rf build build-san build-tsan
format:
	clang-format -i $(shell git ls-files '*.c' '*.h')

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
