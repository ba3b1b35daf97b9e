//! `with-tch [ENGINE [DEVICE]]`: fits on that backend, or on the best one.

use splat_tch::Backend;

fn main() -> Result<(), splat_tch::Error> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let backend = Backend::find(args.first().map(String::as_str), args.get(1).map(String::as_str))?;
    let (first, last) = with_tch::fit(&backend, 100, 60)?;
    println!("loss {first:.4} to {last:.4} by engine {} on {:?}", backend.name(), backend.device());
    assert!(last < 0.5 * first);
    Ok(())
}
