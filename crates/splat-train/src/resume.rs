//! Whether a run may continue from a checkpoint, and which settings disagree if it may not.

use std::path::Path;

use crate::{Checkpoint, Config, Error, Result};

impl Checkpoint {
    /// Checks whether a run with `config` by `engine` on the dataset with fingerprint `dataset` may continue from here:
    /// everything must agree except how long it runs, how often it evaluates and how much it caches. `path` names the
    /// checkpoint in errors.
    ///
    /// # Errors
    /// [`Error::Checkpoint`], naming the values that disagree.
    pub fn fits(&self, path: &Path, dataset: &str, config: &Config, engine: &str) -> Result<()> {
        let refuse = |message: String| Err(Error::Checkpoint { path: path.into(), message });
        let head = &self.header;
        if head.dataset != dataset {
            return refuse(format!(
                "the dataset is not the one of this run: names, cameras or split of its views differ (fingerprint {} \
                 then, {dataset} now)",
                head.dataset
            ));
        }
        if head.engine != engine {
            return refuse(format!("that run used the engine `{}`, this one uses `{engine}`", head.engine));
        }
        let differ = |d: Difference| format!("`{}` was {} and is {} now", d.name, d.then, d.now);
        let differences: Vec<String> = self.differences(config).into_iter().map(differ).collect();
        if differences.is_empty() { Ok(()) } else { refuse(differences.join("; ")) }
    }

    /// The settings in which `config` differs from those of this run, except those that may change.
    #[must_use]
    pub fn differences(&self, config: &Config) -> Vec<Difference> {
        let strict = |config: &Config| {
            let defaults = Config::default();
            let weights = config.regularization();
            let strict = Config {
                opacity_reg: Some(weights.opacity),
                scale_reg: Some(weights.scale),
                iterations: 0,
                eval_every: 0,
                eval_at: Vec::new(),
                image_cache: defaults.image_cache,
                ..config.clone()
            };
            serde_json::to_value(strict).unwrap_or_default()
        };
        let mut found = Vec::new();
        compare("", &strict(&self.header.config), &strict(config), &mut found);
        // Of another strategy all numbers differ.
        if found.iter().any(|d| d.name == "strategy.name") {
            found.retain(|d| d.name == "strategy.name" || !d.name.starts_with("strategy."));
        }
        found
    }
}

/// A setting that is not what it was.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Its name in JSON, such as `rates.opacity`.
    pub name: String,
    /// Its value in the checkpoint.
    pub then: serde_json::Value,
    /// Its value now.
    pub now: serde_json::Value,
}

/// Adds every place at which two JSON values differ.
fn compare(at: &str, then: &serde_json::Value, now: &serde_json::Value, found: &mut Vec<Difference>) {
    if let (Some(left), Some(right)) = (then.as_object(), now.as_object()) {
        let mut keys: Vec<&String> = left.keys().chain(right.keys()).collect();
        keys.sort_unstable();
        keys.dedup();
        for key in keys {
            let at = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
            compare(&at, &then[key], &now[key], found);
        }
    } else if then != now {
        found.push(Difference { name: at.into(), then: then.clone(), now: now.clone() });
    }
}

#[cfg(test)]
mod tests {
    use tch::Tensor;

    use super::*;
    use crate::Header;

    #[test]
    fn disagreement_is_named() {
        let nothing: [(String, &Tensor); 0] = [];
        let c = Checkpoint::new(Header::new("abc", Config::default(), "cpu"), nothing).unwrap();
        let path = Path::new("x");
        let with = |change: &dyn Fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            c.fits(path, "abc", &config, "cpu").map_err(|e| e.to_string())
        };
        with(&|c| (c.iterations, c.eval_every) = (9, 9)).unwrap();
        with(&|c| c.opacity_reg = Some(0.01)).unwrap();
        let message = with(&|c| c.lambda_dssim = 0.5).unwrap_err();
        assert!(message.contains("lambda_dssim") && message.contains("0.2") && message.contains("0.5"));
        let message = with(&|c| c.rates.opacity = 0.05).unwrap_err();
        assert!(message.contains("rates.opacity"), "{message}");
        let message = with(&|c| (c.sh_degree, c.seed) = (1, 7)).unwrap_err();
        assert!(message.contains("`seed` was 0 and is 7 now; `sh_degree` was 3 and is 1 now"), "{message}");
        let message = with(&|c| c.strategy = crate::Strategy::Fixed).unwrap_err();
        assert!(message.contains("\"guided\"") && !message.contains("gradient"), "{message}");
        let message = c.fits(path, "xyz", &Config::default(), "cpu").unwrap_err().to_string();
        assert!(message.contains("abc") && message.contains("xyz"), "{message}");
        assert!(c.fits(path, "abc", &Config::default(), "cuda").is_err());
    }
}
