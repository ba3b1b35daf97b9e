//! A program that knows splat-tch only through a library in between.

fn main() {
    println!("{}", through());
}

fn through() -> String {
    let (first, last) = with_tch::fit_on_best(40, 20);
    format!("loss {first:.4} to {last:.4}")
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_library_in_between_works() {
        assert!(super::through().starts_with("loss 0."));
    }
}
