# SPDX-License-Identifier: Apache-2.0
# Skep. `make demo` and `make test` are all a newcomer needs; `make help` lists the rest. Everything made lands in build/.
#
# Each directory below is one static library (its main.c apart); a program or a test links only what its layer may see, so
# that a call upwards fails to link. Adding a .c file needs no change here.

BUILD  ?= build
PREFIX ?= /usr/local
SAN    ?=
# FUZZ=1: fuzz targets and everything below them, by clang and with its sanitizers, apart from all else
FUZZ   ?=
ifneq ($(FUZZ),)
BUILD := build/fuzz
SANFLAGS := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
CC := clang
else ifneq ($(SAN),)
BUILD := build/san
SANFLAGS := -fsanitize=$(SAN) -fno-omit-frame-pointer
endif
ifeq ($(V),)
Q = @
say = @printf '  %-7s %s\n' $(1) $(2)
else
say = @:
endif
VERSION := $(shell git describe --always --dirty 2>/dev/null || echo unknown)

CC     ?= gcc
CLANG  ?= clang
BPFTOOL ?= $(firstword $(wildcard /usr/sbin/bpftool) bpftool)
PKGS   := libcurl jansson yaml-0.1 openssl sqlite3 libprotobuf-c libnghttp2 zlib libpcre2-8 libnl-3.0 libnl-route-3.0 libbpf
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
WARN   := -Wall -Wextra -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wvla $(if $(FUZZ),-Wno-unknown-warning-option -Wno-gnu-variable-sized-type-not-at-end) -Wno-format-truncation -Werror
CFLAGS ?= -O2 -g
ALL_CFLAGS = -std=gnu11 -D_GNU_SOURCE -DSKEP_VERSION='"$(VERSION)"' $(WARN) $(CFLAGS) $(SANFLAGS) -fno-strict-aliasing \
	-Iheaders -Iuserspace -Iuserspace/lib -I$(GEN) $(PKG_CFLAGS)
LDFLAGS ?= -Wl,-O1 -Wl,--as-needed
GEN    := $(BUILD)/gen
.DELETE_ON_ERROR:
.SECONDARY:
MAKEFLAGS += --no-builtin-rules

# --- layers: name = directories, and what each may call (itself and downwards) --------------------------------------------
DIRS_base        := userspace/lib/base
DIRS_io          := userspace/lib/io
DIRS_api         := userspace/lib/api
DIRS_client      := userspace/lib/client
DIRS_compile     := userspace/lib/compile
DIRS_store       := userspace/control/store
DIRS_apiserver   := userspace/control/apiserver
DIRS_controllers := userspace/control/controllers
DIRS_sched       := userspace/sched userspace/sched/plugins
DIRS_agent       := userspace/agent userspace/agent/dp userspace/agent/net userspace/agent/cri userspace/agent/pod userspace/agent/server
DIRS_cli         := userspace/cli
DIRS_cni         := userspace/cni

USES_base        := base
USES_io          := io base
USES_api         := api base
USES_compile     := compile api base
USES_client      := client api io base
USES_store       := store io base
USES_apiserver   := apiserver store api io base
USES_controllers := controllers compile client api io base
USES_sched       := sched client api io base
USES_agent       := agent compile client api io base
USES_cli         := cli compile client api io base
USES_cni         := cni base

LAYERS := base io api client compile store apiserver controllers sched agent cli cni

LIBS_base   :=
LIBS_io     := $(shell pkg-config --libs libcurl openssl libprotobuf-c libnghttp2 zlib 2>/dev/null) -lhttp_parser -lpthread
LIBS_api    := $(shell pkg-config --libs jansson yaml-0.1 libpcre2-8 2>/dev/null) -lm
LIBS_store  := $(shell pkg-config --libs sqlite3 2>/dev/null)
LIBS_agent  := $(shell pkg-config --libs libnl-route-3.0 libnl-3.0 libbpf 2>/dev/null)
LIBS_cni    := $(shell pkg-config --libs jansson 2>/dev/null)
LIBS_cli    := $(shell pkg-config --libs libnl-route-3.0 libnl-3.0 libbpf 2>/dev/null)

# program = layer whose main.c it is
PROG_skep                    := cli
PROG_skep-apiserver          := apiserver
PROG_skep-controller-manager := controllers
PROG_skep-scheduler          := sched
PROG_skep-agent              := agent
PROG_skep-cni                := cni
PROGRAMS := skep skep-apiserver skep-controller-manager skep-scheduler skep-agent skep-cni

# --- generated sources ---------------------------------------------------------------------------------------------------
PROTOS   := $(wildcard userspace/*/*.proto userspace/*/*/*.proto)
PROTO_C  := $(patsubst %.proto,$(GEN)/proto/%.pb-c.c,$(notdir $(PROTOS)))
PROTO_H  := $(PROTO_C:.c=.h)
KINDS    := $(wildcard userspace/lib/api/schema/*.kind)
API_GEN  := $(if $(KINDS),$(GEN)/api/api_types.h $(GEN)/api/api_tables.c)
BPF_SRC  := $(wildcard bpf/*.bpf.c)
BPF_OBJ  := $(patsubst bpf/%.bpf.c,$(BUILD)/bpf/%.bpf.o,$(BPF_SRC))
SKELS    := $(patsubst bpf/%.bpf.c,$(GEN)/bpf/%.skel.h,$(BPF_SRC))
GENERATED_HEADERS := $(filter %.h,$(API_GEN)) $(PROTO_H) $(SKELS)

vpath %.proto $(sort $(dir $(PROTOS)))

.DEFAULT_GOAL := all
.PHONY: all
all: programs bpf

define layer_rules
SRCS_$(1) := $$(filter-out %/main.c,$$(foreach d,$$(DIRS_$(1)),$$(wildcard $$(d)/*.c)))
OBJS_$(1) := $$(patsubst %.c,$(BUILD)/obj/%.o,$$(SRCS_$(1)))
ifeq ($(1),api)
OBJS_$(1) += $$(patsubst $(GEN)/%.c,$(BUILD)/obj/gen/%.o,$$(filter %.c,$$(API_GEN)))
endif
OBJS_$(1) += $$(patsubst %.proto,$(BUILD)/obj/gen/proto/%.pb-c.o,$$(notdir $$(foreach d,$$(DIRS_$(1)),$$(wildcard $$(d)/*.proto))))
AR_$(1) := $$(if $$(OBJS_$(1)),$(BUILD)/lib/lib$(1).a)
$(BUILD)/lib/lib$(1).a: $$(OBJS_$(1))
	$$(call say,AR,$$@)
	@mkdir -p $$(@D)
	@rm -f $$@
	$$(Q)ar rcs $$@ $$^
endef
$(foreach l,$(LAYERS),$(eval $(call layer_rules,$(l))))

# archives and system libraries of everything a layer uses
archives = $(foreach u,$(USES_$(1)),$(AR_$(u)))
syslibs  = $(foreach u,$(USES_$(1)),$(LIBS_$(u)))

$(BUILD)/obj/gen/%.o: $(GEN)/%.c | $(GENERATED_HEADERS)
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(filter-out -Wshadow -Wmissing-prototypes -Wstrict-prototypes,$(ALL_CFLAGS)) -MMD -MP -c $< -o $@
$(BUILD)/obj/%.o: %.c | $(GENERATED_HEADERS)
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

$(GEN)/proto/%.pb-c.c $(GEN)/proto/%.pb-c.h &: %.proto
	$(call say,PROTO,$<)
	@mkdir -p $(GEN)/proto
	$(Q)protoc-c --proto_path=$(dir $<) --c_out=$(GEN)/proto $<

$(GEN)/api/api_types.h $(GEN)/api/api_tables.c &: $(KINDS) scripts/gen-api.py
	$(call say,GEN,$(GEN)/api)
	@mkdir -p $(GEN)/api
	$(Q)python3 scripts/gen-api.py --out $(GEN)/api $(KINDS)

BPF_CFLAGS := -g -O2 -target bpf -mcpu=v3 -Wall -Wextra -Werror -Wno-unused-parameter -Iheaders -Ibpf \
	-I/usr/include/$(shell $(CC) -print-multiarch)
$(BUILD)/bpf/%.bpf.o: bpf/%.bpf.c
	$(call say,BPF,$@)
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -MMD -MP -c $< -o $@
$(GEN)/bpf/%.skel.h: $(BUILD)/bpf/%.bpf.o
	$(call say,SKEL,$@)
	@mkdir -p $(@D)
	$(Q)$(BPFTOOL) gen skeleton $< name $(subst -,_,$*)_bpf > $@

.PHONY: bpf programs
bpf: $(BPF_OBJ)

define program_rules
ifneq ($$(wildcard $$(firstword $$(DIRS_$(PROG_$(1))))/main.c),)
ALL_PROGRAMS += $(BUILD)/bin/$(1)
endif
$(BUILD)/bin/$(1): $(BUILD)/obj/$$(firstword $$(DIRS_$(PROG_$(1))))/main.o $$(call archives,$(PROG_$(1)))
	$$(call say,LD,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(SANFLAGS) $$(LDFLAGS) -o $$@ $$< $$(call archives,$(PROG_$(1))) $$(call syslibs,$(PROG_$(1)))
endef
$(foreach p,$(PROGRAMS),$(eval $(call program_rules,$(p))))
programs: $(ALL_PROGRAMS) $(BUILD)/bin/pause $(BUILD)/images/pause.tar

# The first process of a pod: static, since its image holds nothing else.
$(BUILD)/bin/pause: userspace/pause/pause.c
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -Os -Wall -Wextra -Werror -static -s $< -o $@

# The image of a pod's sandbox, which `skep up` loads on every node.
$(BUILD)/images/pause.tar: $(BUILD)/bin/pause scripts/mkimage.py
	$(call say,IMAGE,$@)
	@mkdir -p $(@D)
	$(Q)python3 scripts/mkimage.py binary $@ localhost/skep/pause:1 $<

# --- tests: tests/unit/<layer>/*.c is one Criterion program; so are tests/bpf and tests/net (which see all the agent sees) ---
UNIT_LAYERS := $(foreach l,$(LAYERS),$(if $(wildcard tests/unit/$(l)/*.c),$(l)))
define unit_rules
TESTS_$(1) := $$(patsubst %.c,$(BUILD)/obj/%.o,$$(wildcard tests/unit/$(1)/*.c))
$(BUILD)/tests/unit-$(1): $$(TESTS_$(1)) $$(call archives,$(1))
	$$(call say,LD,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(SANFLAGS) $$(LDFLAGS) -o $$@ $$(TESTS_$(1)) $$(call archives,$(1)) $$(call syslibs,$(1)) -lcriterion
ALL_TESTS += $(BUILD)/tests/unit-$(1)
UNIT_TESTS += $(BUILD)/tests/unit-$(1)
endef
$(foreach l,$(UNIT_LAYERS),$(eval $(call unit_rules,$(l))))

define ring_rules
RING_$(1) := $$(patsubst %.c,$(BUILD)/obj/%.o,$$(wildcard tests/$(1)/*.c))
ifneq ($$(RING_$(1)),)
$(BUILD)/tests/$(1): $$(RING_$(1)) $$(call archives,agent)
	$$(call say,LD,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(SANFLAGS) $$(LDFLAGS) -o $$@ $$(RING_$(1)) $$(call archives,agent) $$(call syslibs,agent) -lcriterion
ALL_TESTS += $(BUILD)/tests/$(1)
endif
endef
$(eval $(call ring_rules,bpf))
$(eval $(call ring_rules,net))

# tests/bench/*.c: one program each, over what they share in tests/bench/lib
BENCHES := $(patsubst tests/bench/%.c,$(BUILD)/bench/%,$(wildcard tests/bench/*.c))
BENCH_LIB := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard tests/bench/lib/*.c))
$(BUILD)/bench/%: $(BUILD)/obj/tests/bench/%.o $(BENCH_LIB) $(call archives,agent)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(SANFLAGS) $(LDFLAGS) -o $@ $< $(BENCH_LIB) $(call archives,agent) $(call syslibs,agent)

# hot.c has the API server in it, and no data plane
HOT_LIB := $(filter-out %/pair.o,$(BENCH_LIB))
$(BUILD)/bench/hot: $(BUILD)/obj/tests/bench/hot.o $(HOT_LIB) $(call archives,apiserver)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(SANFLAGS) $(LDFLAGS) -o $@ $< $(HOT_LIB) $(call archives,apiserver) $(call syslibs,apiserver)

# tests/fuzz/*.c: one libFuzzer target each
FUZZERS := $(patsubst tests/fuzz/%.c,$(BUILD)/targets/%,$(wildcard tests/fuzz/*.c))
$(BUILD)/targets/%: $(BUILD)/obj/tests/fuzz/%.o $(call archives,apiserver)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(SANFLAGS) -fsanitize=fuzzer $(LDFLAGS) -o $@ $< $(call archives,apiserver) $(call syslibs,apiserver)

.PHONY: soak fuzzers test-fuzz tests test test-unit test-count test-bpf test-net test-e2e test-vm test-san bench demo demo-down setup install clean help lint benches
tests: $(ALL_TESTS) $(BENCHES)
fuzzers: $(FUZZERS)
benches: $(BENCHES)

setup:
	$(Q)scripts/setup.sh

# Parts that need a tree with its tools installed run in a second make, so that a fresh machine works.
test: setup
	$(Q)$(MAKE) --no-print-directory all tests
	$(Q)scripts/test.sh
test-unit: $(UNIT_TESTS)
	$(Q)scripts/test.sh unit
test-count: $(BUILD)/bench/hot
	$(Q)scripts/test.sh count
test-bpf: $(BUILD)/tests/bpf
	$(Q)scripts/test.sh bpf
test-net: all tests
	$(Q)scripts/test.sh net
test-e2e: all
	$(Q)scripts/test.sh e2e
test-fuzz:
	$(Q)scripts/test.sh fuzz
test-vm: all tests
	$(Q)scripts/test.sh vm
# Services that change 1,000 times a second under clients, for as long as this says.
SOAK_SECONDS ?= 600
soak: setup
	$(Q)$(MAKE) --no-print-directory all tests
	$(Q)SOAK_SECONDS=$(SOAK_SECONDS) $(BUILD)/tests/net --filter 'soak/*'
test-san: setup
	$(Q)$(MAKE) --no-print-directory SAN=address,undefined tests
	$(Q)BUILD=build/san scripts/test.sh unit
bench:
	$(Q)scripts/setup.sh bench
	$(Q)$(MAKE) --no-print-directory all benches
	$(Q)scripts/bench.sh
demo: setup
	$(Q)$(MAKE) --no-print-directory all
	$(Q)scripts/demo.sh
demo-down:
	$(Q)scripts/demo.sh down
lint:
	$(Q)scripts/lint.sh
.PHONY: print-layers
print-layers:
	@$(foreach l,$(LAYERS),echo '$(l):$(DIRS_$(l)):$(USES_$(l))';)

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/systemd/system $(DESTDIR)$(PREFIX)/lib/skep
	install -m 644 $(BUILD)/images/pause.tar $(DESTDIR)$(PREFIX)/lib/skep
	install -m 755 $(ALL_PROGRAMS) $(DESTDIR)$(PREFIX)/bin
	for u in scripts/systemd/*.service; do \
		sed 's|@PREFIX@|$(PREFIX)|g' $$u > $(DESTDIR)$(PREFIX)/lib/systemd/system/$${u##*/} || exit 1; done

clean:
	rm -rf build

help:
	@echo 'make demo       install what is missing, build, run a three-node cluster with examples/hello'
	@echo 'make demo-down  remove it'
	@echo 'make test       install what is missing, build, run every test'
	@echo 'make test-unit | test-count | test-bpf | test-net | test-e2e | test-vm | test-san   one ring'
	@echo 'make bench      benchmarks: a table, and JSON beside it'
	@echo 'make lint       clang-format, cppcheck, layering'
	@echo 'make install PREFIX=/usr/local    programs and systemd units'
	@echo 'V=1 shows commands; SAN=address,undefined builds with sanitizers in build/san'

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
