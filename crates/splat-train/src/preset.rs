//! Ready-made settings, and how they follow the number of steps and of photographs.

use crate::{Config, GuidedConfig, Strategy};

/// Steps of the schedule before it is fitted to photographs.
const NOMINAL: u64 = 30_000;
/// Refinements that a run has at least room for.
const REFINEMENTS: u64 = 50;
/// The largest share that [`Config::fitted`] leaves out, and the number of views of which each step leaves out one's worth.
const DROPOUT: (f64, f64) = (0.2, 6.0);

/// Settings to start from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Preset {
    /// The best held-out views: growth where the error is ([`Strategy::Guided`]), as many Gaussians as the photographs have
    /// detail, and a schedule that ends before it learns the photographs by heart.
    #[default]
    Best,
    /// The same in 4,300 to 6,000 steps, too few to overfit, the first of them on smaller images.
    Fast,
    /// The published schedule of 30,000 steps (Kerbl et al. 2023, and its program since October 2024).
    Published,
}

impl Preset {
    /// The settings, for 30,000 steps: [`Config::over`] makes them fit another number, [`Preset::fitted`] a dataset.
    #[must_use]
    pub fn config(self) -> Config {
        let mut config = Config::published();
        if self == Self::Published {
            return config;
        }
        config.strategy = Strategy::Guided(GuidedConfig::default());
        config.average = 0.1;
        if self == Self::Fast {
            config.coarse_steps = NOMINAL / 10;
        } else {
            config.dropout_until = NOMINAL * 4 / 5;
            config.rates.position.to = 1.6e-5;
        }
        config
    }

    /// `config` over as many steps as suit this number of training views: few photographs are soon learnt by heart, against
    /// which [`Preset::Best`] also leaves out a share of the Gaussians. [`Preset::Published`] does not follow them.
    #[must_use]
    pub fn fitted(self, config: Config, views: usize) -> Config {
        let dropout = DROPOUT.0.min(DROPOUT.1 / views.max(1) as f64);
        let views = views as u64;
        match self {
            Self::Best => Config { dropout, ..config.over((14_000 + 80 * views).min(NOMINAL)) },
            Self::Fast => config.over((25 * views).clamp(4_300, 6_000)),
            Self::Published => config,
        }
    }
}

impl Config {
    /// These settings over another number of steps. What belongs to the schedule becomes shorter or longer with it: a run of
    /// 7,000 steps is a full run, not the beginning of a longer one.
    #[must_use]
    pub fn over(mut self, iterations: u64) -> Self {
        let share = iterations as f64 / self.iterations.max(1) as f64;
        let scaled = |steps: &mut u64| *steps = (*steps as f64 * share).round() as u64;
        let rates = &mut self.rates;
        for steps in
            [&mut self.sh_every, &mut self.coarse_steps, &mut self.dropout_until, &mut rates.position.steps]
        {
            scaled(steps);
        }
        self.sh_every = self.sh_every.max(1);
        if let Strategy::Guided(guided) = &mut self.strategy {
            for steps in
                [&mut guided.from, &mut guided.grow_until, &mut guided.until, &mut guided.prune_after]
            {
                scaled(steps);
            }
            guided.every = guided.every.min(iterations / REFINEMENTS).max(1);
            guided.surveys = guided.surveys.min(guided.every);
            // The first photographs say little: a short run does not begin earlier than this many refinements.
            guided.from = guided.from.max(2 * guided.every);
        }
        self.iterations = iterations;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_follow_the_number_of_steps() {
        let short = Config::default().over(3000);
        assert_eq!((short.iterations, short.sh_every, short.dropout_until), (3000, 100, 2400));
        assert_eq!((short.rates.position.steps, short.average), (3000, 0.1));
        let Strategy::Guided(guided) = &short.strategy else { panic!("{short:?}") };
        assert_eq!((guided.every, guided.grow_until, guided.until), (60, 1200, 2550));
        assert!(guided.until + guided.prune_after < 3000);
        for steps in [0, 1, 10, 49] {
            short.clone().over(steps).check().unwrap();
        }
        assert_eq!(Config::default().over(30_000), Config::default());
    }

    #[test]
    fn presets_follow_the_photographs() {
        let steps = |preset: Preset, views| {
            let config = preset.fitted(preset.config(), views);
            (config.iterations, config.dropout)
        };
        assert_eq!(steps(Preset::Best, 10), (14_800, 0.2));
        assert_eq!(steps(Preset::Best, 60), (18_800, 0.1));
        assert_eq!(steps(Preset::Best, 600), (30_000, 0.01));
        assert_eq!((steps(Preset::Fast, 30), steps(Preset::Fast, 600)), ((4300, 0.0), (6000, 0.0)));
        assert_eq!(steps(Preset::Published, 10), (30_000, 0.0));
    }
}
