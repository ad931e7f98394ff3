use proptest::prelude::*;

use super::*;

fn count() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 0_u64..5, 0_u64..1_000, 0_u64..u64::from(u32::MAX)]
}

fn pairs() -> impl Strategy<Value = PairedCounts> {
    prop::collection::vec((count(), count()), 0..30).prop_map(|pairs| {
        let (reference, current) = pairs.into_iter().unzip();
        PairedCounts { reference, current }
    })
}

/// A column's counts as no data would make them.
fn any_column(bins: usize) -> impl Strategy<Value = ColumnProfile> {
    let extreme = prop_oneof![Just(None), any::<f64>().prop_map(Some)];
    let number = prop_oneof![any::<f64>(), -1e3..1e3];
    (
        prop::collection::vec(count(), bins),
        prop::array::uniform5(count()),
        count(),
        number.clone(),
        number,
        extreme.clone(),
        extreme,
    )
        .prop_map(|(bins, rest, count, sum, sum_of_squares, min, max)| ColumnProfile {
            bins,
            missing: rest[0],
            invalid: rest[1],
            unseen: rest[2],
            below: rest[3],
            above: rest[4],
            out_of_range: rest[3] / 2 + rest[4] / 2,
            moments: crate::profile::Moments { count, sum, sum_of_squares, min, max },
        })
}

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => -50.0..50.0_f64,
        4 => (-5..5_i32).prop_map(f64::from),
        1 => any::<f64>(),
        1 => prop_oneof![
            Just(1e308), Just(-1e308), Just(5e-324), Just(f64::INFINITY), Just(f64::NEG_INFINITY), Just(f64::NAN)
        ],
    ]
}

fn assert_sound(rows: &[DriftRow]) -> Result<(), TestCaseError> {
    for row in rows {
        for value in [row.statistic, row.p_value, row.lower, row.upper, Some(row.threshold)].into_iter().flatten() {
            prop_assert!(value.is_finite(), "{row:?}");
        }
        if let (Some(statistic), Some(lower), Some(upper)) = (row.statistic, row.lower, row.upper) {
            prop_assert!(lower <= statistic && statistic <= upper, "{row:?}");
            // Standardised, it is negative where the samples are more alike than chance makes them.
            prop_assert!(lower >= 0.0 || row.method == Method::AndersonDarling, "{row:?}");
        }
        prop_assert!(row.p_value.is_none_or(|p| (0.0..=1.0).contains(&p)), "{row:?}");
        prop_assert!(row.statistic.is_some() || row.detail.is_some(), "{row:?}");
    }
    Ok(())
}

proptest! {
    #[test]
    fn distances_are_zero_on_themselves_and_never_negative(counts in pairs()) {
        let twice: Vec<u64> = counts.reference.iter().map(|count| 2 * count).collect();
        let same = PairedCounts { reference: counts.reference.clone(), current: twice };
        for statistic in [psi, kl, jensen_shannon, hellinger, total_variation, linf, chi_square, g_test] {
            if let Some(distance) = statistic(&counts) {
                prop_assert!(distance >= 0.0 && distance.is_finite());
            }
            if let Some(distance) = statistic(&same) {
                let size = same.totals().1 as f64;
                prop_assert!(distance.abs() < 1e-12 * size.max(1e4), "{distance} of {same:?}");
            }
        }
        prop_assert!((0.0..=1.0).contains(&homogeneity_p_value(&counts, None)));
        prop_assert!((0.0..=1.0).contains(&homogeneity_p_value(&counts, Some(0))));
        // What is the same on both sides is what chance would not do better.
        prop_assert!(homogeneity_p_value(&same, None) > 0.3);
    }

    #[test]
    fn bounded_distances_keep_their_order(counts in pairs()) {
        // Le Cam and Pinsker: H² ≤ TV ≤ √2·H, L∞ ≤ TV ≤ 1, JS² (bits) ≤ TV.
        let all = hellinger(&counts).zip(total_variation(&counts)).zip(linf(&counts)).zip(jensen_shannon(&counts));
        if let Some((((hellinger, total_variation), linf), jensen_shannon)) = all {
            let slack = 1e-9;
            prop_assert!(hellinger * hellinger <= total_variation + slack);
            prop_assert!(total_variation <= std::f64::consts::SQRT_2 * hellinger + slack);
            prop_assert!(linf <= total_variation + slack && total_variation <= 1.0);
            prop_assert!(jensen_shannon * jensen_shannon <= total_variation + slack);
        }
    }

    #[test]
    fn no_counts_make_a_nan(p in prop::collection::vec(count(), 3), q in prop::collection::vec(count(), 3)) {
        assert_sound(&judged(&categorical(&p, &q)))?;
        assert_sound(&judged(&categorical(&p[..2], &q[..2])))?;
    }

    #[test]
    fn no_column_makes_a_nan_or_a_panic(
        values in prop::collection::vec(value(), 0..30),
        reference in any_column(12),
        current in any_column(12),
    ) {
        let anchors = NumericAnchors::fit(values.iter().copied());
        let fit = |mut column: ColumnProfile| { column.bins.truncate(anchors.edges().len() + 1); column };
        let (reference, current) = (fit(reference), fit(current));
        let values = ValueAnchors::Numeric(anchors.clone());
        let anchors = Anchors { epoch: 0, columns: vec![ColumnAnchors { name: "x".into(), values }], ..Anchors::default() };
        let profile = |column: &ColumnProfile| Profile { columns: vec![column.clone()], ..Profile::default() };
        for row in judge(&DriftPolicy::default(), &anchors, &profile(&reference), &profile(&current)) {
            for value in [row.statistic, row.p_value, row.lower, row.upper, Some(row.threshold)].into_iter().flatten() {
                prop_assert!(value.is_finite(), "{row:?}");
            }
        }
        let _ = contributions(Method::Psi, &anchors.columns[0].values, &reference, &current);
    }

    #[test]
    fn no_values_make_a_nan(
        reference in prop::collection::vec(value(), 0..60),
        current in prop::collection::vec(value(), 0..60),
    ) {
        assert_sound(&judged(&numeric(&reference, &current)))?;
    }

    #[test]
    fn every_distance_of_values_is_zero_on_themselves(values in prop::collection::vec(-1e6..1e6_f64, 2..200)) {
        for row in judged(&numeric(&values, &values)) {
            // These two are moments of ranks, not distances: of equal samples they are what ties make of them.
            if matches!(row.method, Method::CramerVonMises | Method::AndersonDarling) {
                continue;
            }
            let Some((statistic, lower)) = row.statistic.zip(row.lower) else { continue };
            // A root of rounding, 1e-16, is 1e-8.
            prop_assert!((0.0..1e-7).contains(&statistic) && (0.0..1e-7).contains(&lower), "{row:?}");
        }
    }

    #[test]
    fn one_value_or_none_on_either_side_is_defined_or_says_why(a in value(), b in value()) {
        for (reference, current) in [(vec![a], vec![b]), (vec![a], vec![]), (vec![], vec![b]), (vec![], vec![])] {
            let rows = judged(&numeric(&reference, &current));
            assert_sound(&rows)?;
            prop_assert!(rows.iter().all(|row| row.verdict == crate::event::Verdict::Insufficient), "{rows:?}");
        }
    }

    #[test]
    fn adjusted_p_values_keep_the_order_and_never_shrink(p in prop::collection::vec(0.0..1.0_f64, 1..30)) {
        let adjusted = benjamini_hochberg(&p);
        for (raw, adjusted) in p.iter().zip(&adjusted) {
            prop_assert!(adjusted >= raw && *adjusted <= 1.0);
        }
    }
}
