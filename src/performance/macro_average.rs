//! Macro averages over a confusion matrix, of whole counts or of expected ones.

/// A metric of one class against the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClassMetric {
    Precision,
    Recall,
    F1,
    Specificity,
}

/// Weight of one pair of predicted and actual class.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cell {
    pub(super) predicted: usize,
    pub(super) actual: usize,
    pub(super) weight: f64,
}

/// A confusion matrix with its margins. Classes beyond the named ones are no part of an average.
#[derive(Clone, Debug)]
pub(super) struct Confusion {
    pub(super) cells: Vec<Cell>,
    pub(super) n: f64,
    margins: Vec<Margins>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Margins {
    hits: f64,
    predicted: f64,
    actual: f64,
}

/// The unweighted mean of a metric over the classes that occur, with its derivatives by the weight of each cell.
pub(super) struct MacroAverage {
    pub(super) value: f64,
    slopes: Vec<Slopes>,
    by_total: f64,
}

/// A class's share of the mean, by its margins.
#[derive(Clone, Copy, Debug, Default)]
struct Slopes {
    hits: f64,
    predicted: f64,
    actual: f64,
}

impl Confusion {
    pub(super) fn new(classes: usize, cells: impl Iterator<Item = Cell>) -> Self {
        let cells: Vec<Cell> = cells.filter(|cell| cell.weight > 0.0).collect();
        let mut margins = vec![Margins::default(); classes];
        for cell in &cells {
            if let Some(of_class) = margins.get_mut(cell.predicted) {
                of_class.predicted += cell.weight;
                if cell.predicted == cell.actual {
                    of_class.hits += cell.weight;
                }
            }
            if let Some(of_class) = margins.get_mut(cell.actual) {
                of_class.actual += cell.weight;
            }
        }
        let n = cells.iter().map(|cell| cell.weight).sum();
        Self { cells, n, margins }
    }

    /// Of the classes that were predicted or are actual, a ratio of 0 and 0 counting as 0; as scikit-learn's
    /// `average="macro", zero_division=0`. `None` when no class occurs.
    pub(super) fn average(&self, metric: ClassMetric) -> Option<MacroAverage> {
        let occurs = |margins: &Margins| margins.predicted > 0.0 || margins.actual > 0.0;
        let classes = self.margins.iter().filter(|margins| occurs(margins)).count() as f64;
        if classes == 0.0 {
            return None;
        }
        let mut average = MacroAverage { value: 0.0, slopes: Vec::with_capacity(self.margins.len()), by_total: 0.0 };
        for margins in &self.margins {
            let (value, slopes, by_total) =
                if occurs(margins) { margins.metric(metric, self.n) } else { (0.0, Slopes::default(), 0.0) };
            average.value += value / classes;
            average.by_total += by_total / classes;
            average.slopes.push(Slopes {
                hits: slopes.hits / classes,
                predicted: slopes.predicted / classes,
                actual: slopes.actual / classes,
            });
        }
        average.value = average.value.clamp(0.0, 1.0);
        Some(average)
    }
}

impl Margins {
    /// The metric, its derivatives by the class's margins, and that by the number of all cases.
    fn metric(&self, metric: ClassMetric, n: f64) -> (f64, Slopes, f64) {
        let Self { hits, predicted, actual } = *self;
        let undefined = (0.0, Slopes::default(), 0.0);
        let (above, below) = match metric {
            ClassMetric::Precision => (hits, predicted),
            ClassMetric::Recall => (hits, actual),
            ClassMetric::F1 => (2.0 * hits, predicted + actual),
            ClassMetric::Specificity => (n - predicted - actual + hits, n - actual),
        };
        if below <= 0.0 {
            return undefined;
        }
        let (value, step) = ((above / below).clamp(0.0, 1.0), 1.0 / below);
        match metric {
            ClassMetric::Precision => (value, Slopes { hits: step, predicted: -value * step, actual: 0.0 }, 0.0),
            ClassMetric::Recall => (value, Slopes { hits: step, predicted: 0.0, actual: -value * step }, 0.0),
            ClassMetric::F1 => {
                let slopes = Slopes { hits: 2.0 * step, predicted: -value * step, actual: -value * step };
                (value, slopes, 0.0)
            }
            ClassMetric::Specificity => {
                let slopes = Slopes { hits: step, predicted: -step, actual: (value - 1.0) * step };
                (value, slopes, (1.0 - value) * step)
            }
        }
    }
}

impl MacroAverage {
    /// The change of the mean for one case more in this cell.
    pub(super) fn slope(&self, predicted: usize, actual: usize) -> f64 {
        let of = |class: usize| self.slopes.get(class).copied().unwrap_or_default();
        let hit = if predicted == actual { of(predicted).hits } else { 0.0 };
        hit + of(predicted).predicted + of(actual).actual + self.by_total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const METRICS: [ClassMetric; 4] =
        [ClassMetric::Precision, ClassMetric::Recall, ClassMetric::F1, ClassMetric::Specificity];

    fn confusion(weights: &[f64; 9]) -> Confusion {
        let cell = |(index, weight): (usize, &f64)| Cell { predicted: index / 3, actual: index % 3, weight: *weight };
        Confusion::new(3, weights.iter().enumerate().map(cell))
    }

    #[test]
    fn the_slopes_are_the_changes_of_one_case_more() {
        let weights = [30.0, 4.0, 1.0, 6.0, 20.0, 3.0, 2.0, 5.0, 12.0];
        for metric in METRICS {
            let average = confusion(&weights).average(metric).unwrap();
            for index in 0..9 {
                let (mut more, step) = (weights, 1e-6);
                more[index] += step;
                let slope = (confusion(&more).average(metric).unwrap().value - average.value) / step;
                assert!((slope - average.slope(index / 3, index % 3)).abs() < 1e-6, "{metric:?} {index}");
            }
        }
    }

    #[test]
    fn classes_that_do_not_occur_are_no_part_of_the_average() {
        let average = confusion(&[5.0, 0.0, 0.0, 0.0, 5.0, 0.0, 0.0, 0.0, 0.0]).average(ClassMetric::F1).unwrap();
        assert!((average.value - 1.0).abs() < 1e-15);
        assert!(confusion(&[0.0; 9]).average(ClassMetric::F1).is_none());
    }
}
