//! Eigenvalues of symmetric matrices.

/// Quadratic convergence ends long before.
const MAX_SWEEPS: usize = 64;
/// Elements beside the diagonal that are smaller than this share of the matrix's norm count as zero.
const NEGLIGIBLE: f64 = 1e-19;

/// An eigenvalue with its vector of length 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Eigenpair {
    pub value: f64,
    pub vector: Vec<f64>,
}

/// The eigenvalues of a symmetric matrix with orthonormal eigenvectors, the largest value first, as `numpy.linalg.eigh`
/// has them in the other order and but for signs.
///
/// `matrix` holds the rows one after the other, `size` numbers each. Jacobi's cyclic rotations (Golub & Van Loan, Matrix
/// Computations, 8.5): errors are some rounding units of the largest eigenvalue, and the same matrix gives the same bits
/// everywhere. A matrix with numbers that are not finite, or with fewer than `size²` of them, has no eigenvalues here.
#[must_use]
pub fn eigenpairs(mut matrix: Vec<f64>, size: usize) -> Vec<Eigenpair> {
    if size == 0 || matrix.len() != size * size || matrix.iter().any(|value| !value.is_finite()) {
        return Vec::new();
    }
    let norm = matrix.iter().map(|value| value * value).sum::<f64>().sqrt();
    // Row by row the vectors, which start as the axes.
    let mut vectors = vec![0.0; size * size];
    for index in 0..size {
        vectors[index * size + index] = 1.0;
    }
    for _ in 0..MAX_SWEEPS {
        let mut is_diagonal = true;
        for p in 0..size {
            for q in p + 1..size {
                if matrix[p * size + q].abs() > NEGLIGIBLE * norm {
                    is_diagonal = false;
                    rotate(&mut matrix, &mut vectors, size, (p, q));
                }
            }
        }
        if is_diagonal {
            break;
        }
    }
    let mut pairs: Vec<Eigenpair> = vectors
        .chunks_exact(size)
        .enumerate()
        .map(|(index, vector)| Eigenpair { value: matrix[index * size + index], vector: vector.to_vec() })
        .collect();
    pairs.sort_by(|a, b| b.value.total_cmp(&a.value));
    pairs
}

/// Turns the plane of the axes `p < q` so that the element between them becomes zero.
fn rotate(matrix: &mut [f64], vectors: &mut [f64], size: usize, (p, q): (usize, usize)) {
    let between = matrix[p * size + q];
    let (at_p, at_q) = (matrix[p * size + p], matrix[q * size + q]);
    let half_gap = (at_q - at_p) / (2.0 * between);
    // The smaller of the two angles.
    let tangent = half_gap.signum() / (half_gap.abs() + half_gap.hypot(1.0));
    let cosine = 1.0 / tangent.hypot(1.0);
    let sine = tangent * cosine;
    for k in 0..size {
        let (x, y) = (matrix[k * size + p], matrix[k * size + q]);
        matrix[k * size + p] = cosine * x - sine * y;
        matrix[k * size + q] = sine * x + cosine * y;
    }
    turn_rows(matrix, size, (p, q), (cosine, sine));
    turn_rows(vectors, size, (p, q), (cosine, sine));
    matrix[p * size + p] = at_p - tangent * between;
    matrix[q * size + q] = at_q + tangent * between;
    matrix[p * size + q] = 0.0;
    matrix[q * size + p] = 0.0;
}

fn turn_rows(matrix: &mut [f64], size: usize, (p, q): (usize, usize), (cosine, sine): (f64, f64)) {
    let (upper, lower) = matrix.split_at_mut(q * size);
    for (x, y) in upper[p * size..(p + 1) * size].iter_mut().zip(&mut lower[..size]) {
        (*x, *y) = (cosine * *x - sine * *y, sine * *x + cosine * *y);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_has_no_eigenvalues_has_none() {
        assert!(eigenpairs(Vec::new(), 0).is_empty());
        assert!(eigenpairs(vec![1.0, 2.0, 3.0], 2).is_empty());
        assert!(eigenpairs(vec![f64::NAN], 1).is_empty());
        assert_eq!(eigenpairs(vec![0.0; 4], 2).iter().map(|pair| pair.value).collect::<Vec<_>>(), [0.0, 0.0]);
    }

    proptest! {
        #[test]
        fn the_matrix_is_made_of_its_eigenvectors(size in 1..12_usize, seed in prop::collection::vec(-1.0..1.0_f64, 144)) {
            let at = |i: usize, j: usize| seed[i.min(j) * 12 + i.max(j)];
            let matrix: Vec<f64> = (0..size * size).map(|cell| at(cell / size, cell % size)).collect();
            let pairs = eigenpairs(matrix.clone(), size);
            prop_assert!(pairs.is_sorted_by(|a, b| a.value >= b.value));
            for i in 0..size {
                for j in 0..size {
                    let sum: f64 = pairs.iter().map(|pair| pair.value * pair.vector[i] * pair.vector[j]).sum();
                    prop_assert!((sum - matrix[i * size + j]).abs() < 1e-13, "{} is not {}", sum, matrix[i * size + j]);
                    let dot: f64 = pairs[i].vector.iter().zip(&pairs[j].vector).map(|(x, y)| x * y).sum();
                    prop_assert!((dot - f64::from(u8::from(i == j))).abs() < 1e-13);
                }
            }
        }
    }
}
