//! Links the test programs with libtorch; see `splat_toolchain::link`.

fn main() {
    print!("{}", splat_toolchain::link::torch_directives());
}
