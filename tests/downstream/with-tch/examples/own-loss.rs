//! An example of a user's own: the photometric loss instead of L1.

use splat_tch::tch::{Kind, Tensor};
use splat_tch::{Backend, photometric};

fn main() -> Result<(), splat_tch::Error> {
    let backend = Backend::auto();
    let floats = (Kind::Float, backend.device());
    let image = Tensor::rand([3, 32, 32], floats).set_requires_grad(true);
    let target = Tensor::rand([3, 32, 32], floats);
    let loss = photometric(&backend, &image, &target, 0.2)?;
    loss.backward();
    println!("loss {:.4}, gradient {:.2e}", loss.double_value(&[]), image.grad().norm().double_value(&[]));
    Ok(())
}
