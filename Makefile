# What this needs from Debian 12 or 13, and why. This is the one list; nothing else installs anything.
#   build-essential cmake pkg-config libasound2-dev   build: libopus and SQLite from C, ALSA for cpal
#   mosquitto mosquitto-clients                       the MQTT broker of `make run` and of the tests
#   pulseaudio pulseaudio-utils libasound2-plugins    a sound card without hardware
#   alsa-utils                                        names of sound cards, for `make run MIC=…`
#   opus-tools                                        opusinfo, opusdec: is a clip conformant?
#   chromium chromium-driver                          the browser test of the hub's pages
#   e2fsprogs mount                                   a real ext4 for simulated power cuts
#   fdisk                                             the card of the image as its initrd finds it
#   systemd                                           systemd-analyze: how exposed are the units?
#   curl                                              the image's packages are fetched or refused by name
PACKAGES = build-essential cmake pkg-config libasound2-dev mosquitto mosquitto-clients \
           pulseaudio pulseaudio-utils libasound2-plugins alsa-utils opus-tools \
           chromium chromium-driver e2fsprogs mount fdisk systemd curl
# For `make vm-test` alone:
#   qemu-system-x86 mmdebstrap                        a machine with the kernel's simulated GPIO lines and sound card
VM_PACKAGES = qemu-system-x86 mmdebstrap
# For the image (`make image`, image-lock, image-verify) alone; everything else it needs comes from image/builder-*.lock:
#   mmdebstrap                                        makes the folder with those tools
#   curl ca-certificates debian-archive-keyring       fetches packages; knows Debian's signatures of their lists
# For `make image-test` besides:
#   qemu-system-arm mtools                            a machine that boots the image; the card as a technician writes it
#   dosfstools e2fsprogs                              file systems after a power cut: do they mend?
#   device-tree-compiler                              the device tree of a Raspberry Pi 3 as QEMU's serial port needs it
IMAGE_PACKAGES = mmdebstrap curl ca-certificates debian-archive-keyring
IMAGE_TEST_PACKAGES = qemu-system-arm mtools dosfstools e2fsprogs device-tree-compiler mosquitto mosquitto-clients opus-tools

ONCE ?=
MIC ?=
LANGUAGE_OF_CITIZEN ?= da
SEEDS ?= 200
MINUTES ?= 90
PERCENT ?= 100
CAMPAIGNS ?=

# cargo-fuzz asks for an unstable compiler flag or two; the pinned stable compiler has them behind this variable.
CARGO_FUZZ = 0.13.2
SECONDS ?= 60
TARGETS ?= clip_file ledger to_booth to_hub config control_socket prompt

.PHONY: image image-packages image-lock image-verify image-update image-test help run test vm-test bench simulate torture fuzz lint packages fixtures voice clean
.DEFAULT_GOAL := help

help: ## this list
	@echo "The booth gateway and its hub. Targets:"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18
	@echo "Set SKIP_PACKAGES=1 to leave Debian's packages alone."

run: packages ## a citizen speaks, the clip arrives; stays up until Ctrl-C (ONCE=1 ends; MIC=<ALSA name> uses your microphone; LANGUAGE_OF_CITIZEN=en)
	cargo build --quiet --bins --example demo
	target/debug/examples/demo $(if $(ONCE),--once) $(if $(MIC),--mic "$(MIC)") --language $(LANGUAGE_OF_CITIZEN)

test: packages ## every test, on real components that it starts and ends itself
	cargo test --all-targets

vm-test: PACKAGES += $(VM_PACKAGES)
vm-test: packages ## the installed product in a virtual machine: simulated GPIO lines, a kernel sound card, systemd; as root, 5 to 10 minutes
	cargo test --release --test vm -- --ignored --nocapture --test-threads=1

image: PACKAGES = $(IMAGE_PACKAGES)
image: packages ## the SD image, from the locks in image/; as root; IMAGE_CACHE=folder of packages, IMAGE_LOCK=drift for today's packages, either for those only if a locked one is gone
	image/build.sh target/image/work

image-packages: PACKAGES = $(IMAGE_PACKAGES)
image-packages: packages

image-lock: PACKAGES = $(IMAGE_PACKAGES)
image-lock: packages ## which packages the image and its builder are made of, asked of the mirrors anew (DEBIAN_MIRROR, SECURITY_MIRROR, IMAGE_KERNEL)
	image/lock.sh image

image-verify: PACKAGES = $(IMAGE_PACKAGES)
image-verify: packages ## two builds that share nothing but the downloads: the same bit for bit? as root; KNOWN=1 spares what image/verified knows
	image/verify.sh target/image $(if $(KNOWN),known)

image-update: PACKAGES = minisign
image-update: packages ## signs and packs an update of the image of `make image`: KEY=<minisign secret key>
	image/update.sh target/image/work "$(KEY)"

image-test: PACKAGES += $(IMAGE_TEST_PACKAGES)
image-test: packages ## boots the image of `make image` unmodified in a virtual machine: set-up, visits, power cuts replayed, updates (CRASH_STATES=1000 for more cuts)
	cargo test --test image -- --ignored --nocapture --test-threads=2

bench: packages ## the figures, as ratios in one run, in a release build
	cargo build --release --bins
	cargo bench --bench figures
	@if [ "$$(id -u)" = 0 ] && command -v qemu-system-x86_64 >/dev/null && command -v mmdebstrap >/dev/null; then \
	    cargo test --release --test vm -- --ignored --nocapture the_figures; \
	else \
	    echo "NOT MEASURED: a booth on a kernel sound card; that needs root, and the packages of make vm-test" >&2; \
	fi

simulate: ## whole booths in virtual time with faults: SEEDS=1000, SEEDS=17..20, or SEED=17 told step by step
	cargo build --quiet --example simulate
	target/debug/examples/simulate $(if $(SEED),--trace $(SEED),$(SEEDS))

torture: packages ## the long campaigns on release binaries: MINUTES=90 at most, PERCENT=1 for a look, CAMPAIGNS="crash-states drain"; goes on where it was
	cargo build --quiet --release --bins
	cargo build --quiet --example torture
	target/debug/examples/torture --minutes $(MINUTES) --percent $(PERCENT) $(CAMPAIGNS)

fuzz: packages ## every door to the outside is fed what a fuzzer thinks up, SECONDS each (60); TARGETS=… for some of them
	@cargo fuzz --version 2>/dev/null | grep -qF ' $(CARGO_FUZZ)' || cargo install --locked cargo-fuzz@$(CARGO_FUZZ)
	RUSTC_BOOTSTRAP=1 cargo fuzz build --quiet
	@fuzz/run.sh $(SECONDS) $(TARGETS)

lint: ## formatting, lints, licences and sources of dependencies
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	cargo deny check bans licenses sources

packages:
	@command -v cargo >/dev/null || { echo "Rust is missing: install it with rustup, then run make again." >&2; exit 1; }
	@[ -n "$(SKIP_PACKAGES)" ] && exit 0; \
	missing=$$(for p in $(PACKAGES); do \
	    dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done); \
	[ -z "$$missing" ] && exit 0; \
	echo "These Debian packages are missing and will be installed (the Makefile says what each is for):"; \
	echo "  "$$missing; \
	sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	$$sudo apt-get update -q && \
	DEBIAN_FRONTEND=noninteractive $$sudo apt-get install -y -q --no-install-recommends $$missing || { \
	    echo "Installing failed. Install them by hand, or set SKIP_PACKAGES=1 to go on without." >&2; exit 1; }

fixtures: ## speak the test recordings and prompts again (needs espeak-ng and sox)
	tests/fixtures/make.sh

voice: ## speak the booth's own words again (needs espeak-ng, sox and opus-tools)
	src/adapters/voice/make.sh

clean: ## remove what was built
	cargo clean
