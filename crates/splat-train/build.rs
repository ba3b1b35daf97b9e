//! Links this package's tests and examples with the libtorch that tch uses.

fn main() {
    print!("{}", splat_toolchain::link::torch_directives());
}
