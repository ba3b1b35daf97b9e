//! Links this package's program and tests with the libtorch that tch uses.

fn main() {
    print!("{}", splat_toolchain::link::torch_directives());
}
