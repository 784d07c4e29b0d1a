//! Development commands of Argus, run as `cargo xtask <command>`.

fn main() {}
