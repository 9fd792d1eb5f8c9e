# eddy's build. `make help` lists what can be asked for.
#
# Each variant has its own folder: build/ is release, build/<variant>/ any other. The rules are
# written once, in VARIANT_RULES, and made for all five, so that one make can build several.

VARIANTS := release debug asan tsan cov
VARIANT ?= release
V ?= 0

ifeq ($(filter $(VARIANT),$(VARIANTS)),)
$(error VARIANT=$(VARIANT) is unknown; choose one of: $(VARIANTS))
endif

ifeq ($(origin CC),default)
CC := cc
endif
CXX ?= c++
AR ?= ar
GCOV ?= gcov
PKG_CONFIG ?= pkg-config
PYTHON ?= python3
CLANG_FORMAT ?= clang-format
PREFIX ?= /usr/local
DESTDIR ?=

# As many jobs as there are cores, unless make was told: the builds of `check` are large, and its
# runs follow each other in any case.
MAKEFLAGS += --no-builtin-rules
ifeq ($(filter -j% --jobs%,$(MAKEFLAGS)),)
MAKEFLAGS += -j$(shell nproc 2>/dev/null || echo 1)
endif
.SUFFIXES:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all
export PYTHONDONTWRITEBYTECODE := 1
export CC CXX GCOV PKG_CONFIG PYTHON CLANG_FORMAT

ifeq ($(V),0)
Q := @
say = @printf '  %-5s %s\n' '$(1)' '$(2)'
else
Q :=
say = @:
endif

# ---- what is needed: Debian package = command, or pkg-config's name, that shows it is there --------

NEEDS_BUILD := build-essential=cc               # the C and C++ compilers, make, ar, the C library
NEEDS_BUILD += pkg-config=pkg-config            # where the libraries are
NEEDS_BUILD += liburcu-dev=liburcu-bp.pc        # RCU within one process: the directory of streams
NEEDS_BUILD += libxxhash-dev=libxxhash.pc       # hashes and checksums; its header alone
NEEDS_BUILD += zlib1g-dev=zlib.pc               # tools: import from gzip
NEEDS_BUILD += libzstd-dev=libzstd.pc           # tools: import from zstd
NEEDS_TEST := libcriterion-dev=criterion.pc     # the test framework
NEEDS_TEST += clang-format=clang-format         # check-format
NEEDS_TEST += python3=python3                   # the check scripts
NEEDS_TEST += jq=jq                             # tests and demo: compare JSON lines
NEEDS_TEST += strace=strace                     # tests: which system calls are made
NEEDS_TEST += util-linux=setarch                # sanitizers: a fixed layout of addresses

# ---- sources ---------------------------------------------------------------------------------------

LIB_SRC := $(sort $(wildcard lib/*.c))
TOOL_SRC := $(sort $(wildcard tools/*.c))
BENCH_SRC := $(sort $(wildcard bench/*.c))
SUPPORT_SRC := $(sort $(wildcard tests/support/*.c))
# Programs without Criterion take the support files that do without it, too.
PLAIN_SRC := $(filter-out tests/support/cr_%,$(SUPPORT_SRC))
UNIT_SRC := $(sort $(wildcard tests/unit/*.c))
TEST_SRC := $(UNIT_SRC) $(sort $(foreach d,multi tools contract crash,$(wildcard tests/$(d)/*.c)))
STRESS_SRC := $(sort $(wildcard tests/stress/*.c))
EXAMPLE_SRC := $(sort $(wildcard tests/examples/*.c))
ALL_SRC := $(LIB_SRC) $(TOOL_SRC) $(BENCH_SRC) $(SUPPORT_SRC) $(TEST_SRC) $(STRESS_SRC) $(EXAMPLE_SRC)
MAN_PAGES := $(sort $(wildcard tools/man/*.1))

# ---- flags -----------------------------------------------------------------------------------------

WARN := -Wall -Wextra -Werror -Wshadow -Wconversion -Wvla -Wundef -Wmissing-prototypes \
    -Wstrict-prototypes
BASE_FLAGS := -std=c11 -D_GNU_SOURCE $(WARN) -fPIC -fvisibility=hidden -pthread -MMD -MP

FLAGS_release := -O2 -g -fno-plt
FLAGS_debug := -O0 -g3
FLAGS_asan := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined \
    -fno-sanitize-recover=all
FLAGS_tsan := -O1 -g -fno-omit-frame-pointer -fsanitize=thread -DEDDY_TSAN
FLAGS_cov := -O0 -g --coverage -fprofile-update=atomic

LINK_release := -Wl,-z,relro,-z,now
LINK_asan := -fsanitize=address,undefined
LINK_tsan := -fsanitize=thread
LINK_cov := --coverage
# A library with undefined symbols is an error, but where a sanitizer brings them in at run time.
SO_LINK_release := -Wl,-z,defs
SO_LINK_debug := -Wl,-z,defs

# For eddy-bench to say what it measured; taken when its object is made.
COMMIT := $(shell git describe --always --dirty --tags 2>/dev/null || echo unknown)
INCLUDE_lib := -Ilib
INCLUDE_tools := -Ilib
INCLUDE_bench := -Ilib -DEDDY_COMMIT='"$(COMMIT)"'
INCLUDE_tests := -Itests -Ilib

# pkg-config is asked when a recipe first wants to know, which is after `deps`, and once.
ask = $(eval $(1) := $$(shell $$(PKG_CONFIG) $(2)))$($(1))
LIB_LIBS = $(call ask,LIB_LIBS,--libs liburcu-bp)
TOOL_LIBS = $(call ask,TOOL_LIBS,--libs zlib libzstd)
TEST_LIBS = $(call ask,TEST_LIBS,--libs criterion)
CFLAGS_lib_pc = $(call ask,CFLAGS_lib_pc,--cflags liburcu-bp libxxhash)
CFLAGS_tool_pc = $(call ask,CFLAGS_tool_pc,--cflags zlib libzstd)
CFLAGS_test_pc = $(call ask,CFLAGS_test_pc,--cflags criterion)
PC_lib = $(CFLAGS_lib_pc)
PC_tools = $(CFLAGS_tool_pc)
PC_tests = $(CFLAGS_lib_pc) $(CFLAGS_tool_pc) $(CFLAGS_test_pc)

# ---- the rules of a variant: $(1) its name, $(2) its folder ------------------------------------------

folder = $(if $(filter release,$(1)),build,build/$(1))
room = $(firstword $(subst /, ,$(1)))
objects = $(patsubst %.c,$(1)/obj/%.o,$(2))
programs = $(patsubst tests/%.c,$(1)/%,$(2))
quote = '$(subst ','\'',$(1))'
# FORCE unless file $(1) says $(2): what depends on it is made anew when flags or sources change,
# and only then.
unless_says = $(if $(and $(findstring x$(file <$(1))x,x$(2)x),$(findstring x$(2)x,x$(file <$(1))x)),,FORCE)

# `check` and `demo` install what is missing before anything is compiled.
DEPS_FIRST := $(if $(filter check demo,$(MAKECMDGOALS)),deps)

define VARIANT_RULES
COMPILE_$(1) := $$(strip $$(CC) $$(BASE_FLAGS) $$(FLAGS_$(1)) $$(CPPFLAGS) $$(CFLAGS))
LINKER_$(1) := $$(strip $$(CC) -pthread $$(LINK_$(1)) $$(LDFLAGS) -Wl,--as-needed)
FLAGS_TEXT_$(1) := $$(COMPILE_$(1)) / $$(LINKER_$(1))
LIB_OBJ_$(1) := $$(call objects,$(2),$$(LIB_SRC))
SUPPORT_OBJ_$(1) := $$(call objects,$(2),$$(SUPPORT_SRC))
PLAIN_OBJ_$(1) := $$(call objects,$(2),$$(PLAIN_SRC))
STRESS_$(1) := $$(call programs,$(2),$$(STRESS_SRC))
EXAMPLES_$(1) := $$(call programs,$(2),$$(EXAMPLE_SRC))
ALL_$(1) := $(2)/libeddy.a $(2)/libeddy.so $(if $(TOOL_SRC),$(2)/eddy) \
    $(if $(BENCH_SRC),$(2)/eddy-bench)

$(2)/obj/flags: $$(call unless_says,$(2)/obj/flags,$$(FLAGS_TEXT_$(1)))
	@mkdir -p $$(@D)
	@printf '%s\n' $$(call quote,$$(FLAGS_TEXT_$(1))) >$$@

$(2)/obj/sources: $$(call unless_says,$(2)/obj/sources,$$(ALL_SRC))
	@mkdir -p $$(@D)
	@printf '%s\n' '$$(ALL_SRC)' >$$@

$(2)/obj/%.o: %.c $(2)/obj/flags | build/found-build
	$$(call say,CC,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(COMPILE_$(1)) $$(INCLUDE_$$(call room,$$<)) $$(PC_$$(call room,$$<)) -c -o $$@ $$<

$(2)/libeddy.a: $$(LIB_OBJ_$(1)) $(2)/obj/sources
	$$(call say,AR,$$@)
	$$(Q)rm -f $$@
	$$(Q)$$(AR) rcs $$@ $$(LIB_OBJ_$(1))

$(2)/libeddy.so.0: $$(LIB_OBJ_$(1)) lib/eddy.map $(2)/obj/sources
	$$(call say,LD,$$@)
	$$(Q)$$(LINKER_$(1)) -shared -Wl,-soname,libeddy.so.0 -Wl,--version-script=lib/eddy.map \
	    $$(SO_LINK_$(1)) -o $$@ $$(LIB_OBJ_$(1)) $$(LIB_LIBS)

$(2)/libeddy.so: $(2)/libeddy.so.0
	$$(Q)ln -sf libeddy.so.0 $$@

$(2)/eddy: $$(call objects,$(2),$$(TOOL_SRC)) $(2)/libeddy.a $(2)/obj/sources
	$$(call say,LD,$$@)
	$$(Q)$$(LINKER_$(1)) -o $$@ $$(filter %.o,$$^) $$(filter %.a,$$^) $$(TOOL_LIBS) $$(LIB_LIBS) -lm

$(2)/eddy-bench: $$(call objects,$(2),$$(BENCH_SRC)) $(2)/libeddy.a $(2)/obj/sources
	$$(call say,LD,$$@)
	$$(Q)$$(LINKER_$(1)) -o $$@ $$(filter %.o,$$^) $$(filter %.a,$$^) $$(LIB_LIBS) -lm

# The children of tests end by _exit(), which would lose what they have counted (cov_exit.c).
EXIT_OBJ_$(1) := $(if $(filter cov,$(1)),$(2)/obj/tests/checks/cov_exit.o)
EXIT_LINK_$(1) := $(if $(filter cov,$(1)),-Wl$(comma)--wrap=_exit)
LINK_TEST_$(1) = $$(LINKER_$(1)) $$(EXIT_LINK_$(1)) -o $$@ $$(filter %.o,$$^) $$(filter %.a,$$^)

$(2)/eddy-tests: $$(call objects,$(2),$$(TEST_SRC))
$(2)/eddy-unit: $$(call objects,$(2),$$(UNIT_SRC))
$(2)/eddy-tests $(2)/eddy-unit: $$(SUPPORT_OBJ_$(1)) $$(EXIT_OBJ_$(1)) $(2)/libeddy.a $(2)/obj/sources
	$$(call say,LD,$$@)
	$$(Q)$$(LINK_TEST_$(1)) $$(TEST_LIBS) $$(TOOL_LIBS) $$(LIB_LIBS) -lm

$$(STRESS_$(1)) $$(EXAMPLES_$(1)): $(2)/%: $(2)/obj/tests/%.o $$(PLAIN_OBJ_$(1)) $$(EXIT_OBJ_$(1)) \
    $(2)/libeddy.a $(2)/obj/sources
	$$(call say,LD,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(LINK_TEST_$(1)) $$(TOOL_LIBS) $$(LIB_LIBS) -lm

$$(filter $(2)/obj/tests/%,$$(call objects,$(2),$$(ALL_SRC))): | build/found-test

-include $$(patsubst %.c,$(2)/obj/%.d,$$(ALL_SRC))
endef
comma := ,

$(foreach v,$(VARIANTS),$(eval $(call VARIANT_RULES,$(v),$(call folder,$(v)))))

B := $(call folder,$(VARIANT))
ENV = EDDY_BUILD='$(CURDIR)/$(B)'

build/found-build: | $(DEPS_FIRST)
	@sh tests/checks/needs find $(NEEDS_BUILD)
	@mkdir -p $(@D) && touch $@
build/found-test: | $(DEPS_FIRST)
	@sh tests/checks/needs find $(NEEDS_TEST)
	@mkdir -p $(@D) && touch $@

# ---- targets ---------------------------------------------------------------------------------------

.PHONY: all tests deps check demo bench cov format install uninstall clean help FORCE
.PHONY: check-layers check-labels check-format check-functions check-header check-symbols
.PHONY: check-contract check-self-test check-asan check-tsan check-stress check-tests check-examples

all: $(ALL_$(VARIANT)) ## build the libraries, eddy and eddy-bench (what `make` alone does)

tests: all $(B)/eddy-tests $(STRESS_$(VARIANT)) $(EXAMPLES_$(VARIANT)) ## build the tests as well

deps: ## install by apt-get what is missing to build and test, and only that
	@sh tests/checks/needs install $(NEEDS_BUILD) $(NEEDS_TEST)

STEPS = BUILD='$(CURDIR)/$(B)' BUILD_ASAN='$(CURDIR)/build/asan' BUILD_TSAN='$(CURDIR)/build/tsan' \
    sh tests/checks/steps
ASAN_NEEDS := build/asan/eddy-unit
TSAN_NEEDS := $(STRESS_tsan)

check: deps tests $(ASAN_NEEDS) $(TSAN_NEEDS) ## everything that must hold; goes on after a failure, tests last
	$(Q)$(STEPS) self-test layers labels format functions header symbols contract asan tsan stress examples tests

check-self-test: ## the check scripts find what they are to find
	$(Q)$(STEPS) self-test
check-layers: ## rooms include their own layer or lower (lib/LAYERS)
	$(Q)$(STEPS) layers
check-labels: ## every atomic access has a label that names its partner
	$(Q)$(STEPS) labels
check-format: ## all C files are as clang-format writes them
	$(Q)$(STEPS) format
check-functions: ## length of functions and files, depth of nesting
	$(Q)$(STEPS) functions
check-header: ## eddy.h compiles as C99, C11 and C++17 with all warnings on
	$(Q)$(STEPS) header
check-symbols: $(B)/libeddy.so.0 ## the shared library exports what eddy.h declares
	$(Q)$(STEPS) symbols
check-contract: ## each row of the contract has its test
	$(Q)$(STEPS) contract
check-asan: $(ASAN_NEEDS) ## unit tests under AddressSanitizer and UBSan
	$(Q)$(STEPS) asan
check-tsan: $(TSAN_NEEDS) ## stress programs as threads under ThreadSanitizer
	$(Q)$(STEPS) tsan
check-stress: all $(STRESS_$(VARIANT)) ## stress programs, in short
	$(Q)$(STEPS) stress
check-examples: all $(EXAMPLES_$(VARIANT)) ## the examples: each checks what it does
	$(Q)$(STEPS) examples
check-tests: tests ## the Criterion tests
	$(Q)$(STEPS) tests

demo: deps all ## show eddy at work: four processes import, two follow
	$(Q)$(ENV) bash tests/demo.sh

bench: all ## measure: bench/run.sh
	$(Q)if [ -e bench/run.sh ]; then $(ENV) bash bench/run.sh; \
	    else echo "eddy: there is no bench/run.sh: run $(B)/eddy-bench by hand"; fi

cov: build/cov/eddy build/cov/eddy-bench build/cov/eddy-tests ## run the tests, show lines and branches covered, a room a line
	$(Q)find build/cov -name '*.gcda' -delete
	$(Q)status=0; EDDY_BUILD='$(CURDIR)/build/cov' build/cov/eddy-tests || status=$$?; \
	    $(PYTHON) tests/checks/coverage build/cov/obj/lib $(LIB_SRC) && exit $$status

format: ## rewrite all C files as clang-format has them
	$(Q)sh tests/checks/check-format --fix

# DESTDIR and PREFIX may hold spaces; what is below them does not.
to = '$(DESTDIR)$(PREFIX)'/$(1)
INSTALLED = include/eddy.h lib/libeddy.a lib/libeddy.so lib/libeddy.so.0 lib/pkgconfig/eddy.pc \
    bin/eddy bin/eddy-bench $(patsubst tools/man/%,share/man/man1/%,$(MAN_PAGES))

install: all ## install below $(DESTDIR)$(PREFIX), which is /usr/local by default
	$(call say,INST,$(DESTDIR)$(PREFIX))
	$(Q)install -d $(foreach d,bin include lib/pkgconfig,$(call to,$(d)))
	$(Q)install -m 644 lib/eddy.h $(call to,include)
	$(Q)install -m 644 $(B)/libeddy.a $(call to,lib)
	$(Q)install -m 755 $(B)/libeddy.so.0 $(call to,lib)
	$(Q)ln -sf libeddy.so.0 $(call to,lib/libeddy.so)
	$(Q)install -m 755 $(wildcard $(B)/eddy $(B)/eddy-bench) $(call to,bin)
	$(Q)version=$$(sed -n 's/^#define EDDY_VERSION_[A-Z]* //p' lib/eddy.h | paste -sd.); \
	    sed -e 's|@PREFIX@|$(PREFIX)|' -e "s|@VERSION@|$$version|" lib/eddy.pc.in \
	    >$(call to,lib/pkgconfig/eddy.pc) && chmod 644 $(call to,lib/pkgconfig/eddy.pc)
ifneq ($(MAN_PAGES),)
	$(Q)install -d $(call to,share/man/man1)
	$(Q)install -m 644 $(MAN_PAGES) $(call to,share/man/man1)
endif

uninstall: ## remove what install put there
	$(Q)rm -f $(foreach f,$(INSTALLED),$(call to,$(f)))

clean: ## remove build/
	$(Q)rm -rf build

help: ## this list
	@echo 'make [TARGET]... [VARIANT=release|debug|asan|tsan|cov] [V=1] [CC=clang]'
	@sed -n 's/^\([a-z-]*\):[^#=]* ## \(.*\)/\1|\2/p' Makefile | \
	    while IFS='|' read -r name text; do printf '  %-16s %s\n' "$$name" "$$text"; done
	@echo 'release is built in build/, every other variant in build/<variant>/.'
