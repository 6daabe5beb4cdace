# make          build/libwsig.a and the modules of the servers whose headers
#               are installed
# make units    the C tests, plain and with ASan and UBSan
# make tsan     the test of workers at the same time, with TSan
# make check    install what is missing, build all with gcc and clang, test
# make demo     install what is missing, build, run a server to try (as root)
# make install  put module, pages and examples under $(DESTDIR)
# make clean    remove what was built

CC = gcc
CLANG = clang
SERVER ?= nginx
NGINX_SRC = /usr/share/nginx/src

WARN = -Wall -Wextra -Werror
CFLAGS = -std=c11 -D_GNU_SOURCE -O2 -g -fPIC -fvisibility=hidden $(WARN)
ASAN = -fsanitize=address,undefined -fno-sanitize-recover=all \
	-fno-omit-frame-pointer
WRAP = -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc \
	-Wl,--wrap=pthread_mutex_lock,--wrap=pthread_mutex_trylock \
	-Wl,--wrap=pthread_mutex_unlock,--wrap=posix_fallocate
LIBS = -lcrypto -ljansson -lwslay -lpthread -ldl

CORE = $(wildcard shared/*.c)
HELP = $(wildcard t/lib/*.c)
TEST = $(wildcard t/shared/*.c)
NGINX = $(wildcard ngx_webrtc_signal/*.c)
APACHE = $(wildcard mod_webrtc_signal/*.c)
APACHE_TEST = $(wildcard t/apache/*.c)
MODULE_nginx = build/ngx_http_webrtc_signal_module.so
MODULE_apache = build/mod_webrtc_signal.so
APACHE_INCLUDE := $(shell apxs -q INCLUDEDIR 2>/dev/null)

# The servers to build for, and those that all, clang and install leave out.
HAVE := $(if $(wildcard $(NGINX_SRC)/conf_flags),nginx) \
	$(if $(wildcard $(APACHE_INCLUDE)/mod_ssl_openssl.h),apache)
LACK := $(filter-out $(HAVE),nginx apache)

all: build/libwsig.a $(HAVE:%=all-%) $(LACK:%=without-%)

all-nginx: $(MODULE_nginx)

all-apache: $(MODULE_apache) $(APACHE_TEST:t/apache/%.c=build/%.so)

without-nginx: PACKAGES = nginx-dev
without-apache: PACKAGES = apache2-dev and apache2-ssl-dev
without-nginx without-apache: without-%:
	@echo "left out: the module for $*, whose headers Debian has in $(PACKAGES)"

# Objects of three kinds; each compiler run notes which headers it read.

OBJECT = mkdir -p $(@D) && echo "$(1) $@" && $(1) $(CFLAGS) $(2) \
	-Ishared -It/lib -MMD -MP -c -o $@ $<

build/o/gcc/%.o: %.c Makefile
	@$(call OBJECT,$(CC))

build/o/asan/%.o: %.c Makefile
	@$(call OBJECT,$(CC),$(ASAN))

build/o/tsan/%.o: %.c Makefile
	@$(call OBJECT,$(CC),-fsanitize=thread)

build/o/clang/%.o: %.c Makefile
	@$(call OBJECT,$(CLANG))

# Made anew, so that the object of a removed file does not linger in it.
build/libwsig.a: $(CORE:%.c=build/o/gcc/%.o)
	@rm -f $@
	ar rcs $@ $^

# nginx's own build script works from its read-only tree, and has to be called
# there.  conf_flags is a bash array: the flags the installed nginx needs.

NGINX_FLAGS = -O2 -g -fPIC -fstack-protector-strong -D_FORTIFY_SOURCE=2

build/nginx/Makefile: ngx_webrtc_signal/config $(NGINX_SRC)/conf_flags Makefile
	@mkdir -p $(@D)
	cd $(NGINX_SRC) && bash -c '. ./conf_flags && ./configure \
	    --builddir=$(CURDIR)/build/nginx "$${NGX_CONF_FLAGS[@]}" \
	    --with-cc=$(CC) --with-cc-opt="$(NGINX_FLAGS)" \
	    --with-ld-opt="-Wl,-z,relro -Wl,-z,now" \
	    --add-dynamic-module=$(CURDIR)/ngx_webrtc_signal' \
	    >$(CURDIR)/build/nginx/configure.log 2>&1 \
	    || { tail $(CURDIR)/build/nginx/configure.log; rm -f $(CURDIR)/$@; \
	    exit 1; }

$(MODULE_nginx): build/nginx/Makefile build/libwsig.a $(NGINX) \
		$(wildcard ngx_webrtc_signal/*.h shared/*.h)
	$(MAKE) -s -C $(NGINX_SRC) -f $(CURDIR)/build/nginx/Makefile modules
	@! nm -u build/nginx/$(@F) | grep wsig_ # or nginx would not load it
	cp build/nginx/$(@F) $@.new && mv $@.new $@ # a running nginx maps it

# What httpd looks up in a module is one record, which its headers do not mark
# as visible: the linker hides the rest.

APACHE_FLAGS = -Wno-unused-parameter -fvisibility=default \
	$(APACHE_INCLUDE:%=-I%) \
	$(shell apr-1-config --cppflags --includes)
build/o/gcc/mod_webrtc_signal/%.o build/o/clang/mod_webrtc_signal/%.o \
build/o/gcc/t/apache/%.o build/o/clang/t/apache/%.o: CFLAGS += $(APACHE_FLAGS)

APACHE_LINK = echo '{ global: *_module; local: *; };' | $(CC) -shared \
	-Wl,-z,relro -Wl,-z,now -Wl,--version-script=/dev/stdin -o $@.new $^

$(MODULE_apache): $(APACHE:%.c=build/o/gcc/%.o) build/libwsig.a
	$(APACHE_LINK) -lssl -lcrypto -lpthread -ldl
	@! nm -u $@.new | grep wsig_ # or httpd would not load it
	mv $@.new $@ # a running httpd maps it

build/mod_%.so: build/o/gcc/t/apache/mod_%.o
	$(APACHE_LINK)
	mv $@.new $@

# Tests in C: all of t/lib goes into each.

units: $(TEST:t/shared/%.c=build/t/%) $(TEST:t/shared/%.c=build/asan/t/%)

build/t/%: build/o/gcc/t/shared/%.o $(HELP:%.c=build/o/gcc/%.o) build/libwsig.a
	@mkdir -p $(@D)
	@$(CC) -o $@ $^ $(WRAP) $(LIBS)

build/asan/t/%: build/o/asan/t/shared/%.o $(HELP:%.c=build/o/asan/%.o) \
		$(CORE:%.c=build/o/asan/%.o)
	@mkdir -p $(@D)
	@$(CC) $(ASAN) -o $@ $^ $(WRAP) $(LIBS)

build/tsan/t/%: build/o/tsan/t/shared/%.o $(HELP:%.c=build/o/tsan/%.o) \
		$(CORE:%.c=build/o/tsan/%.o)
	@mkdir -p $(@D)
	@$(CC) -fsanitize=thread -o $@ $^ $(WRAP) $(LIBS)

tsan: build/tsan/t/threads build/tsan/t/movers
	for test in $^; do $$test || exit 1; done

.SECONDARY:

# clang's opinion: compiled, not linked.

clang: $(patsubst %.c,build/o/clang/%.o,$(CORE) $(HELP) $(TEST)) \
	$(HAVE:%=clang-%) $(LACK:%=without-%)

clang-nginx: $(NGINX:%.c=build/o/clang/%.o)

clang-apache: $(patsubst %.c,build/o/clang/%.o,$(APACHE) $(APACHE_TEST))

build/o/clang/ngx_webrtc_signal/%.o: CFLAGS = -O2 -fPIC $(WARN) \
	-Wno-unused-parameter -Ibuild/nginx \
	$(addprefix -I$(NGINX_SRC)/src/,core event event/modules event/quic \
	os/unix http http/modules http/v2)
$(NGINX:%.c=build/o/clang/%.o): build/nginx/Makefile

# How httpd ends its tables, and how APR's macros find an offset.
build/o/clang/mod_webrtc_signal/%.o build/o/clang/t/apache/%.o: CFLAGS += \
	-Wno-missing-field-initializers -Wno-null-pointer-subtraction

# What is missing is installed first, by a make that has not looked at the
# sources yet: a fresh machine may have no compiler.  Three tests run at a time,
# since most of them wait most of the time (t/testrules.yml: in which order).

check:
	.ci/install check
	$(MAKE) -j2 all units clang t/node_modules/.package-lock.json
	prove -j3 --timer --failures --comments -r t

t/node_modules/.package-lock.json: t/package.json t/package-lock.json
	cd t && npm ci --no-audit --no-fund
	touch $@

demo:
	$(if $(MODULE_$(SERVER)),,$(error there is no demo with "$(SERVER)": \
	    try nginx or apache))
	.ci/install demo-$(SERVER)
	$(MAKE) -j2 $(MODULE_$(SERVER))
	config/demo.sh $(SERVER)

SHARE = $(DESTDIR)/usr/share/webrtc-signal
MODS = $(DESTDIR)/etc/apache2/mods-available
install: all $(HAVE:%=install-%)
	install -d $(SHARE)/html $(SHARE)/config
	cp -R html/. $(SHARE)/html
	chmod -R u=rwX,go=rX $(SHARE)/html # whatever the checkout has
	install -m 644 config/*.conf $(SHARE)/config
	install -m 755 config/turnserver.sh $(SHARE)/config

install-nginx: all
	install -D -m 644 $(MODULE_nginx) -t $(DESTDIR)/usr/lib/nginx/modules

install-apache: all
	install -D -m 644 $(MODULE_apache) \
	    -t $(DESTDIR)$(shell apxs -q LIBEXECDIR)
	if [ -d /etc/apache2 ]; then \
	    install -D -m 644 config/webrtc_signal.load -t $(MODS); \
	    [ -e $(MODS)/webrtc_signal.conf ] || \
	        install -m 644 config/webrtc_signal.conf -t $(MODS); \
	fi # for a2enmod; what the operator has written stays

clean:
	rm -rf build

.PHONY: all all-nginx all-apache without-nginx without-apache units tsan \
	clang clang-nginx clang-apache check demo install install-nginx \
	install-apache clean
-include $(shell find build/o -name '*.d' 2>/dev/null)
