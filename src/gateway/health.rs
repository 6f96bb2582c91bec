//! Is the booth ready, and why not.
