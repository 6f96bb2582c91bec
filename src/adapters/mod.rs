//! Everything that touches the outside, one thing per file.
