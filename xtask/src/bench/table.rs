//! Figures side by side, and whether they meet their targets.

use crate::failure::{Failure, Result};
use crate::measure::Sample;

/// Smallest, middle and largest value of one figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) min: f64,
    pub(crate) median: f64,
    pub(crate) max: f64,
}

impl Spread {
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        let (half, last) = (values.len() / 2, values.len().saturating_sub(1));
        let median = if values.len().is_multiple_of(2) {
            f64::midpoint(at(half.saturating_sub(1)), at(half))
        } else {
            at(half)
        };
        Self { min: at(0), median, max: at(last) }
    }

    pub(crate) fn wall_ms(samples: &[Sample]) -> Self {
        Self::of(samples.iter().map(|sample| sample.wall.as_secs_f64() * 1e3))
    }

    pub(crate) fn cpu_ms(samples: &[Sample]) -> Self {
        Self::of(samples.iter().map(|sample| sample.cpu.as_secs_f64() * 1e3))
    }

    pub(crate) fn peak_mib(samples: &[Sample]) -> Self {
        Self::of(samples.iter().map(|sample| sample.peak_kib / 1024.0))
    }
}

/// The value that 95 of 100 do not exceed: the nearest rank.
pub(crate) fn p95(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let rank = (values.len() * 95).div_ceil(100).saturating_sub(1);
    values.get(rank).copied().unwrap_or(f64::NAN)
}

/// What is printed, and what was missed.
#[derive(Debug)]
#[must_use = "end it"]
pub(crate) struct Table {
    missed: usize,
}

impl Table {
    pub(crate) fn begin(what: &str) -> Self {
        println!("\n{what:<44}{:>10}{:>10}{:>10}", "min", "median", "max");
        Self { missed: 0 }
    }

    pub(crate) fn row(&self, name: &str, spread: Spread, note: &str) {
        let Spread { min, median, max } = spread;
        let line = format!("{name:<44}{min:>10.2}{median:>10.2}{max:>10.2}   {note}");
        println!("{}", line.trim_end());
    }

    pub(crate) fn judge(&mut self, target: &str, met: bool) {
        println!("  target: {target}: {}", if met { "met" } else { "MISSED" });
        self.missed += usize::from(!met);
    }

    /// Fails when the caller wants the targets met and one was not.
    pub(crate) fn end(self, check: bool) -> Result<()> {
        match self.missed {
            0 => Ok(()),
            _ if !check => Ok(()),
            missed => Err(Failure::new(format!("{missed} figures miss their target"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_smallest_middle_and_largest() {
        let odd = Spread::of([3.0, 1.0, 2.0]);
        assert_eq!(odd, Spread { min: 1.0, median: 2.0, max: 3.0 });
        let even = Spread::of([4.0, 1.0, 2.0, 3.0]);
        assert_eq!(even, Spread { min: 1.0, median: 2.5, max: 4.0 });
    }

    #[test]
    fn one_of_twenty_may_exceed_it() {
        let values: Vec<f64> = (1..=20).rev().map(f64::from).collect();
        assert_eq!(p95(&values), 19.0);
        assert_eq!(p95(&values[..3]), 20.0);
        assert!(p95(&[]).is_nan());
    }
}
