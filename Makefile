# What each target needs from Debian 12 or 13, and why. These are the only lists; tests/packages/install.sh installs what is missing of
# one and nothing else, and shows these reasons first. `make packages-proof` tries each list in a Debian that has nothing.
#   cargo                                             Rust itself: rustup's, only looked for and never installed from here
#   gcc libc6-dev make cmake                          libopus and SQLite are built from C
#   pkg-config libasound2-dev                         ALSA, for cpal
#   ca-certificates                                   downloads over TLS
#   mosquitto                                         the MQTT broker of the demonstration and of the tests
#   postgresql                                        a server for the tests of the hub's rows there; the machine's own stays as it is
#   mosquitto-clients                                 the broker's own clients, beside ours
#   pulseaudio pulseaudio-utils libasound2-plugins    a sound card without hardware
#   alsa-utils                                        names of sound cards, for MIC=…; arecord, which records beside the gateway
#   ffmpeg                                            a recorder in segments, beside the gateway
#   opus-tools                                        opusinfo, opusdec, opusenc: is a clip conformant?
#   chromium chromium-driver                          the browser tests of the hub's pages and of the booth's screen
#   e2fsprogs mount                                   a real ext4: power cuts, and disks of virtual machines
#   fdisk                                             the card of the image as its initrd finds it
#   systemd                                           systemd-analyze: how exposed are the units?
#   valgrind                                          counts instructions: the same on a busy machine
#   python3-venv python3-dev                          STOI and PESQ: how well is a clip understood?
#   git                                               Paho's broker comes from its repository
#   openssl                                           certificates as people make them
#   age python3-cryptography                          sealed clips opened by programs that are not ours
#   g++                                               libFuzzer is C++
#   qemu-system-x86                                   a machine with the kernel's simulated GPIO lines and sound card
#   qemu-system-arm                                   a machine that boots the image (its network card is given no boot ROM: ipxe-qemu is not needed)
#   mmdebstrap                                        makes folders of Debian: the machine, the image's builder, the proof of these lists
#   curl debian-archive-keyring                       fetches packages by name and hash; knows Debian's signatures of their lists
#   mtools dosfstools                                 the card as a technician writes it; does its FAT mend after a power cut?
#   exfatprogs                                        USB sticks as shops sell them
#   busybox                                           the initrd's own shell
#   device-tree-compiler                              the device tree of a Raspberry Pi 3 as QEMU's serial port needs it
#   minisign                                          signs updates
#   lintian                                           the rules of Debian packages
#   python3-jsonschema python3-yaml                   the published schemas, as programs that are not ours read them
#   espeak-ng                                         speaks campaigns' texts
#   espeak-ng sox                                     voices of the test recordings, and of the booth itself
build = cargo gcc libc6-dev make cmake pkg-config libasound2-dev ca-certificates
sound = pulseaudio pulseaudio-utils libasound2-plugins
run_packages = $(build) mosquitto opus-tools espeak-ng $(if $(MIC),alsa-utils,$(sound))
demo-city_packages = $(build) mosquitto espeak-ng
test_packages = $(build) $(sound) mosquitto mosquitto-clients postgresql opus-tools chromium chromium-driver e2fsprogs mount fdisk dosfstools exfatprogs busybox systemd curl openssl age python3-cryptography python3-jsonschema python3-yaml espeak-ng
bench_packages = $(build) $(sound) mosquitto mosquitto-clients postgresql opus-tools e2fsprogs valgrind python3-venv python3-dev
compare_packages = $(build) $(sound) mosquitto opus-tools alsa-utils ffmpeg e2fsprogs mount mmdebstrap
torture_packages = $(build) $(sound) mosquitto mosquitto-clients opus-tools e2fsprogs mount
simulate_packages = $(build)
help-files_packages = $(build)
floods_packages = $(build) mosquitto
lint_packages = $(build)
fuzz_packages = $(build) g++
vm-test_packages = $(build) mosquitto opus-tools e2fsprogs qemu-system-x86 mmdebstrap
image_packages = mmdebstrap curl ca-certificates debian-archive-keyring
image-lock_packages = $(image_packages)
image-verify_packages = $(image_packages)
image-update_packages = minisign $(if $(FROM),$(build))
image-test_packages = $(build) mosquitto mosquitto-clients opus-tools e2fsprogs mount qemu-system-arm mtools dosfstools device-tree-compiler
fixtures_packages = espeak-ng sox opus-tools
voice_packages = $(fixtures_packages)
brokers_packages = mmdebstrap git
book_packages = cargo gcc libc6-dev
deb_packages = $(build) mmdebstrap debian-archive-keyring lintian
packages-proof_packages = mmdebstrap debian-archive-keyring
# Each target that has a list begins with this.
needs = @tests/packages/install.sh $($@_packages)

# Debian has some programs (mosquitto, mke2fs) where the PATH of an ordinary user does not look. A card without hardware may be here.
export PATH := $(PATH):/usr/sbin:/sbin:$(CURDIR)/target/packages/bin

ONCE ?=
MIC ?=
LANGUAGE_OF_CITIZEN ?= da
SEEDS ?= 200
MINUTES ?= 90
PERCENT ?= 100
CAMPAIGNS ?=
FLOOD_S ?= 60
DEBIAN ?= 12 13
PROVE ?=
LOOK ?=
VARIANT ?=
DEB_SUITES ?= bookworm trixie
# The program that `make image` has built for arm64, where it has.
ARM64_PROGRAM ?= $(wildcard target/image/work/program/booth-gateway)

# cargo-fuzz asks for an unstable compiler flag or two; the pinned stable compiler has them behind this variable.
CARGO_FUZZ = 0.13.2
MDBOOK = 0.5.4
SECONDS ?= 60
PARTS ?=
PUBLISH ?=
TARGETS ?= clip_file ledger to_booth to_hub config control_socket prompt update_manifest to_pages sealed_clip

.PHONY: book brokers compare deb demo-city image image-packages image-lock image-verify image-update image-test help run test vm-test bench simulate torture floods fuzz lint packages packages-of packages-proof fixtures voice clean
.DEFAULT_GOAL := help

help: ## this list
	@echo "The booth gateway and its hub. Targets:"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22
	@echo "Set SKIP_PACKAGES=1 to leave Debian's packages alone."

run: ## a citizen speaks, the clip arrives; stays up until Ctrl-C (ONCE=1 ends; MIC=<ALSA name> uses your microphone; LANGUAGE_OF_CITIZEN=en)
	$(needs)
	cargo build --features demo --bins
	target/debug/booth-demo $(if $(ONCE),--once) $(if $(MIC),--mic "$(MIC)") --language $(LANGUAGE_OF_CITIZEN)

demo-city: ## a hub with a year of a city: 12 booths, 5 campaigns, thousands of messages; stays up until Ctrl-C (ONCE=1 ends)
	$(needs)
	cargo build --features demo --bins --example demo_city
	target/debug/examples/demo_city $(if $(ONCE),--once)

# Most tests wait for real processes: three at a time for each core (docs/testing.md).
test: export RUST_TEST_THREADS ?= $(shell echo $$((3 * $$(nproc))))
test: ## every test, on real components that it starts and ends itself
	$(needs)
	cargo test --no-run --all-targets --features demo
	cargo test --no-run --package booth-testkit --lib
	@tests/lanes.sh

vm-test: ## the installed product in a virtual machine: simulated GPIO lines, a kernel sound card, systemd; as root, 5 to 10 minutes
	$(needs)
	cargo build --release --example encode
	cargo test --release --test vm -- --ignored --nocapture --test-threads=1

brokers: ## fetches the brokers that `make test` meets besides Mosquitto, as root: Mosquitto of Debian 12 and 13, RabbitMQ, Paho's (PAHO_REPOSITORY=a clone of it)
	$(needs)
	@tests/zoo/get.sh target/brokers

image: ## the SD image, from the locks in image/; as root; IMAGE_CACHE=folder of packages, IMAGE_LOCK=drift for today's packages, either for those only if a locked one is gone; VARIANT=screen with a browser for the booth's screen
	$(needs)
	image/build.sh target/image/work$(if $(VARIANT),-$(VARIANT)) $(VARIANT)

help-files: ## man pages and shell completions of both programs, in target/help
	$(needs)
	cargo run --example help_files -- target/help

book: ## the documents as a site, in target/book; mdbook is installed where it is missing
	$(needs)
	@command -v mdbook >/dev/null || cargo install --locked mdbook@$(MDBOOK)
	mdbook build

deb: ## Debian packages of both programs, in target/deb; as root tried in clean Debians (DEB_SUITES="bookworm trixie"); ARM64_PROGRAM=<the image's booth-gateway>
	$(needs)
	cargo build --release --bins
	cargo run --example help_files -- target/help
	rm -rf target/deb
	deb/build.sh booth-gateway target/release/booth-gateway target/help target/deb
	deb/build.sh booth-hub target/release/booth-hub target/help target/deb
	$(if $(ARM64_PROGRAM),deb/build.sh booth-gateway "$(ARM64_PROGRAM)" target/help target/deb)
	DEB_SUITES="$(DEB_SUITES)" tests/packages/deb.sh target/deb

image-packages:
	@tests/packages/install.sh $(image_packages)

image-lock: ## which packages the image and its builder are made of, asked of the mirrors anew (DEBIAN_MIRROR, SECURITY_MIRROR, IMAGE_KERNEL)
	$(needs)
	image/lock.sh image

image-verify: ## two builds that share nothing but the downloads: the same bit for bit? as root; KNOWN=1 spares what image/verified knows
	$(needs)
	image/verify.sh target/image $(if $(KNOWN),known)

image-update: ## signs and packs an update of the image of `make image`: KEY=<minisign secret key>; FROM=old.update makes one for mobile links, too: only what differs; VARIANT=screen for that image
	$(needs)
	image/update.sh target/image/work$(if $(VARIANT),-$(VARIANT)) "$(KEY)" $(FROM)

image-test: ## boots the image of `make image` unmodified in a virtual machine: set-up, visits, power cuts replayed, updates (CRASH_STATES=1000 for more cuts)
	$(needs)
	cargo test --test image -- --ignored --nocapture --test-threads=2

bench: ## the figures, as ratios in one run, in a release build
	$(needs)
	@benches/figures/quality.sh target/quality || true
	cargo build --release --bins --example encode
	cargo build --profile shipped --package booth-gateway --bin booth-gateway
	GATEWAY_PROGRAM=$(CURDIR)/target/shipped/booth-gateway cargo bench --bench figures
	@if [ "$$(id -u)" = 0 ] && command -v qemu-system-x86_64 >/dev/null && command -v mmdebstrap >/dev/null; then \
	    cargo test --release --test vm -- --ignored --nocapture the_figures; \
	else \
	    echo "NOT MEASURED: a booth on a kernel sound card; that needs root, and the packages of make vm-test" >&2; \
	fi

compare: ## the gateway beside arecord, ffmpeg, Mosquitto's bridge and RabbitMQ's shovel at the same work, as root: PARTS="recording outage" for some; PUBLISH=1 writes docs/comparison.md
	$(needs)
	@tests/zoo/get.sh target/brokers debian-13 || true
	cargo build --release --bins
	cargo build --example compare
	target/debug/examples/compare $(if $(PUBLISH),--publish) $(PARTS)

simulate: ## whole booths in virtual time with faults: SEEDS=1000, SEEDS=17..20, or SEED=17 told step by step
	$(needs)
	cargo build --profile test --example simulate
	target/debug/examples/simulate $(if $(SEED),--trace $(SEED),$(SEEDS))

torture: ## the long campaigns on release binaries: MINUTES=90 at most, PERCENT=1 for a look, CAMPAIGNS="crash-states drain"; goes on where it was
	$(needs)
	cargo build --release --bins
	cargo build --profile test --example torture
	target/debug/examples/torture --minutes $(MINUTES) --percent $(PERCENT) $(CAMPAIGNS)

floods: ## one booth floods the hub with each kind of message, a minute each (FLOOD_S=60): what do the others notice? in a release build
	$(needs)
	FLOOD_S=$(FLOOD_S) cargo test --release --features demo --test attacks beside_a_minute -- --ignored --nocapture

fuzz: ## every door to the outside is fed what a fuzzer thinks up, SECONDS each (60); TARGETS=… for some of them
	$(needs)
	@cargo fuzz --version 2>/dev/null | grep -qF ' $(CARGO_FUZZ)' || cargo install --locked cargo-fuzz@$(CARGO_FUZZ)
	RUSTC_BOOTSTRAP=1 cargo fuzz build
	@fuzz/run.sh $(SECONDS) $(TARGETS)

lint: ## formatting, lints, licences and sources of dependencies
	$(needs)
	cargo fmt --check
	cargo clippy --all-targets --features demo -- -D warnings
	cargo deny check bans licenses sources

packages: ## the packages of `make test` and `make lint`, for a machine that runs both
	@tests/packages/install.sh $(sort $(test_packages) $(lint_packages))

packages-of: # the list of TARGET=…, for the proof
	@echo $($(TARGET)_packages)

packages-proof: ## each target's list in a Debian 12 and a 13 that have nothing else; as root; DEBIAN="12 13", PROVE="run test"; LOOK=1 installs and looks for programs only
	$(needs)
	LOOK=$(LOOK) tests/packages/proof.sh "$(DEBIAN)" "$(PROVE)"

fixtures: ## speak the test recordings and prompts again
	$(needs)
	tests/fixtures/make.sh

voice: ## speak the booth's own words again
	$(needs)
	src/adapters/voice/make.sh

clean: ## remove what was built
	cargo clean
