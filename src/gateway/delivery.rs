//! What is sent, kept and released.
