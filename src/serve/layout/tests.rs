use serde_json::json;

use super::*;

fn spec(name: &str, datatype: DataType, shape: &[i64]) -> TensorSpec {
    TensorSpec { name: name.to_owned(), datatype, shape: shape.to_vec() }
}

fn columns(names: &[&str]) -> Vec<NamedColumn> {
    names.iter().map(|name| NamedColumn { name: (*name).to_owned(), required: false }).collect()
}

fn mixed() -> Layout {
    let specs = [
        spec("amount", DataType::Fp32, &[-1, 1]),
        spec("colour", DataType::Bytes, &[-1, 1]),
        spec("count", DataType::Int64, &[-1, 1]),
    ];
    Layout::new(&specs, &[]).unwrap()
}

fn row(value: Value) -> Map<String, Value> {
    let Value::Object(row) = value else { panic!("{value} is no row") };
    row
}

fn names(layout: &Layout) -> String {
    layout.names()
}

#[test]
fn one_input_per_column_is_named_by_its_inputs_and_one_matrix_by_the_signature() {
    assert_eq!(names(&mixed()), "amount, colour, count");
    let matrix = [spec("X", DataType::Fp32, &[-1, 2])];
    assert_eq!(names(&Layout::new(&matrix, &columns(&["b", "a"])).unwrap()), "b, a");
    assert_eq!(names(&Layout::new(&matrix, &[]).unwrap()), "x0, x1");
    let free = [spec("X", DataType::Fp32, &[-1, -1])];
    assert_eq!(names(&Layout::new(&free, &columns(&["a", "b", "c"])).unwrap()), "a, b, c");
    assert!(matches!(Layout::new(&free, &[]), Err(LayoutError::Names { .. })));
    assert!(matches!(Layout::new(&matrix, &columns(&["a"])), Err(LayoutError::Names { named: 1, .. })));
}

#[test]
fn several_matrices_take_the_names_in_order_and_renamed_inputs_too() {
    let two = [spec("numbers", DataType::Fp32, &[-1, 2]), spec("texts", DataType::Bytes, &[-1, 1])];
    assert_eq!(names(&Layout::new(&two, &columns(&["a", "b", "c"])).unwrap()), "a, b, c");
    let renamed = [spec("car_value", DataType::Fp32, &[-1, 1])];
    assert_eq!(names(&Layout::new(&renamed, &columns(&["car value"])).unwrap()), "car value");
    let shuffled = [spec("b", DataType::Fp32, &[-1, 1]), spec("a", DataType::Fp32, &[-1, 1])];
    assert_eq!(names(&Layout::new(&shuffled, &columns(&["a", "b"])).unwrap()), "b, a");
    let twice = Layout::new(&[spec("X", DataType::Fp32, &[-1, 2])], &columns(&["a", "a"]));
    assert_eq!(twice, Err(LayoutError::Twice("a".into())));
}

#[test]
fn rows_become_tensors_and_tensors_rows_again() {
    let layout = mixed();
    let rows = [
        row(json!({"amount": 0.1, "colour": "red", "count": 3})),
        row(json!({"colour": "blue", "count": -4, "amount": null})),
    ];
    for row in &rows {
        layout.check(row).unwrap();
    }
    let tensors = layout.of_rows(&rows.iter().collect::<Vec<_>>()).unwrap();
    assert_eq!(tensors[1].data, Data::Bytes(vec!["red".into(), "blue".into()]));
    assert_eq!((tensors[0].shape.clone(), tensors[2].data.clone()), (vec![2, 1], Data::Int64(vec![3, -4])));
    assert_eq!(layout.row(&tensors, 0), rows[0]);
    assert_eq!(layout.row(&tensors, 1), rows[1], "NaN is logged as null");
    assert_eq!(layout.accept(tensors.clone()).map(|tensors| tensors.len()), Ok(3));
}

#[test]
fn a_matrix_holds_the_features_of_a_row_side_by_side() {
    let layout = Layout::new(&[spec("X", DataType::Fp64, &[-1, 2])], &columns(&["a", "b"])).unwrap();
    let rows = [row(json!({"b": 2, "a": 1})), row(json!({"a": true, "b": 4.5}))];
    let tensors = layout.of_rows(&rows.iter().collect::<Vec<_>>()).unwrap();
    assert_eq!(tensors[0], Tensor { name: "X".into(), shape: vec![2, 2], data: Data::Fp64(vec![1.0, 2.0, 1.0, 4.5]) });
}

#[test]
fn wrong_rows_are_refused_by_the_name_of_the_feature() {
    let layout = mixed();
    let said = |value: Value| layout.check(&row(value)).unwrap_err().to_string();
    let known = "the model takes amount, colour, count";
    assert_eq!(said(json!({"amount": 1, "colour": "red"})), format!("feature 'count' is missing; {known}"));
    let extra = json!({"amount": 1, "colour": "red", "count": 1, "size": 2});
    assert_eq!(said(extra), format!("feature 'size' is not known; {known}"));
    let with = |feature: &str, value: Value| {
        let mut whole = json!({"amount": 1, "colour": "red", "count": 1});
        whole[feature] = value;
        said(whole)
    };
    assert_eq!(with("amount", json!("1")), "feature 'amount' is text, the model wants a number");
    assert_eq!(with("colour", json!(1)), "feature 'colour' is a number, the model wants text");
    assert_eq!(with("colour", json!(null)), "feature 'colour' is null, the model wants text");
    assert_eq!(with("count", json!(1.5)), "feature 'count' is 1.5, the model wants a whole number");
    assert_eq!(with("count", json!([1])), "feature 'count' is an array, the model wants a whole number");
}

#[test]
fn a_column_that_was_trained_without_gaps_takes_neither_null_nor_nan() {
    let required = [NamedColumn { name: "a".into(), required: true }];
    let layout = Layout::new(&[spec("a", DataType::Fp32, &[-1, 1])], &required).unwrap();
    assert!(layout.check(&row(json!({"a": null}))).is_err());
    let tensor = |value: f32| vec![Tensor { name: "a".into(), shape: vec![2, 1], data: Data::Fp32(vec![1.0, value]) }];
    assert!(layout.accept(tensor(2.0)).is_ok());
    let error = layout.accept(tensor(f32::NAN)).unwrap_err().to_string();
    assert!(error.starts_with("feature 'a' is NaN in row 1"), "{error}");
}

#[test]
fn tensors_that_are_not_the_models_are_refused_with_what_it_takes() {
    let layout = Layout::new(
        &[spec("X", DataType::Fp32, &[-1, 2]), spec("y", DataType::Bytes, &[-1, 1])],
        &columns(&["a", "b", "y"]),
    )
    .unwrap();
    let x = |shape: &[usize]| Tensor {
        name: "X".into(),
        shape: shape.to_vec(),
        data: Data::Fp32(vec![0.0; shape.iter().product()]),
    };
    let y = |rows: usize| Tensor { name: "y".into(), shape: vec![rows], data: Data::Bytes(vec![String::new(); rows]) };
    assert_eq!(layout.accept(vec![y(3), x(&[3, 2])]).unwrap()[1].shape, [3, 1]);
    let said = |tensors: Vec<Tensor>| layout.accept(tensors).unwrap_err().to_string();
    assert_eq!(said(vec![x(&[3, 2])]), "input 'y' is missing; the model takes X, y");
    assert_eq!(said(vec![x(&[3, 3]), y(3)]), "input 'X' has shape [3, 3], the model takes [-1, 2]");
    assert_eq!(said(vec![x(&[3, 2]), y(2)]), "input 'y' has 2 rows where others have 3");
    let other = Tensor { name: "z".into(), ..y(3) };
    assert_eq!(said(vec![x(&[3, 2]), y(3), other]), "input 'z' is not known; the model takes X, y");
    let double = Tensor { data: Data::Fp64(vec![0.0; 6]), ..x(&[3, 2]) };
    assert_eq!(said(vec![double, y(3)]), "input 'X' has datatype FP64, the model takes FP32");
}
