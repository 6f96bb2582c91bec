//! Tells the linker how the gateway's program is laid out.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // An address that the loader corrects takes 24 bytes in the usual table, and one bit in this one (DT_RELR, glibc 2.36, Debian 12): a
    // megabyte less to read at each start, and to keep.
    println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
}
