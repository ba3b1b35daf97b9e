//! Links the program with libtorch, so that it starts without cargo; see `torch_link`.

fn main() {
    print!("{}", torch_link::torch_directives());
}
