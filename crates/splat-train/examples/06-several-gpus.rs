//! Trains one scene on several GPUs, with a loop of its own; each rank keeps its share of the Gaussians.
//!
//!     cargo build --release -p splat-train --example 06-several-gpus --features nccl
//!     torchrun --nproc-per-node 2 --no-python target/*/release/examples/06-several-gpus DATA OUT.ply
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use splat_scene::{Dataset, OpenOptions};
use splat_train::{Backend, Config, Ranks, Rendezvous, Trainer};
use tch::Device;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [data, output] = arguments.as_slice() else { return Err("DATA OUT.ply".into()) };
    let rendezvous = Rendezvous::from_env()?.ok_or("start it with torchrun")?;
    Ranks::use_device(Device::Cuda(rendezvous.local_rank))?;
    let backend = Backend::find(None, Some(&format!("cuda:{}", rendezvous.local_rank)))?;
    let group = Ranks::join(&rendezvous, backend.device(), Duration::from_secs(60))?;

    let dataset = Dataset::open(data, &OpenOptions::default())?;
    // 30,000 photographs in all, one per rank in each step.
    let steps = 30_000 / group.world() as u64;
    let config = Config { batch: group.world(), ..Config::default().over(steps) };
    let mut trainer =
        Trainer::builder(&dataset).config(config).backend(backend).group(group.clone()).build()?;
    while trainer.steps() < steps {
        let result = trainer.step()?;
        if group.rank() == 0 && trainer.steps().is_multiple_of(100) {
            println!("{}: loss {:.4}", trainer.steps(), result.loss.double_value(&[]));
        }
    }
    // The whole comes to rank 0.
    if let Some(scene) = trainer.gaussians().download_whole()? {
        scene.write(output)?;
    }
    group.leave(None)?;
    Ok(())
}
