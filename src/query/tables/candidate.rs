//! Tables about versions before they are deployed: what gates look at, and what they said.

use std::sync::Arc;

use super::column;
use super::count;
use super::table::PlainTable;
use crate::query::{EvaluationRow, GateRow, GoldenRow, SchemaRow};

type EvaluationColumn = column::Column<Arc<EvaluationRow>>;
type SchemaColumn = column::Column<Arc<SchemaRow>>;
type GoldenColumn = column::Column<Arc<GoldenRow>>;
type GateColumn = column::Column<Arc<GateRow>>;

pub static EVALUATION: PlainTable<Arc<EvaluationRow>> = PlainTable {
    name: "evaluation",
    description: "one row per metric of a version on held-out data; in gates only of the candidate and its champion",
    rows: |snapshot| &snapshot.evaluation,
    columns: &[
        EvaluationColumn::text("model", "name of the registered model", |e| Some(e.model.as_str().into())),
        EvaluationColumn::text("version", "number of the version", |e| Some(e.version.as_str().into())),
        EvaluationColumn::text("dataset", "digest or name of the held-out data; null when not told", |e| {
            e.dataset.as_deref().map(Into::into)
        })
        .or_null(),
        EvaluationColumn::text("slice", "such as region:eu or robustness:noise; null for all of the data", |e| {
            e.slice.as_deref().map(Into::into)
        })
        .or_null(),
        EvaluationColumn::text("metric", "such as accuracy", |e| Some(e.metric.as_str().into())),
        EvaluationColumn::float("value", "what was measured", |e| Some(e.value)),
        EvaluationColumn::float("lower", "lower end of its 95 % interval; null when not known", |e| e.lower).or_null(),
        EvaluationColumn::float("upper", "upper end of its 95 % interval; null when not known", |e| e.upper).or_null(),
        EvaluationColumn::count("n", "rows that it was measured on; null when not known", |e| e.n.map(count)).or_null(),
    ],
};

pub static SIGNATURE: PlainTable<Arc<SchemaRow>> = PlainTable {
    name: "signature",
    description: "in gates: one row per input of the candidate's signature; empty elsewhere",
    rows: |snapshot| &snapshot.signature,
    columns: SCHEMA,
};

pub static MONITORED_SCHEMA: PlainTable<Arc<SchemaRow>> = PlainTable {
    name: "monitored_schema",
    description: "in gates: one row per feature of the monitored model's reference; empty elsewhere",
    rows: |snapshot| &snapshot.monitored_schema,
    columns: SCHEMA,
};

const SCHEMA: &[SchemaColumn] = &[
    SchemaColumn::text("model", "name of the model", |s| Some(s.model.as_str().into())),
    SchemaColumn::text("version", "number of the version; null for what is monitored", |s| {
        s.version.as_deref().map(Into::into)
    })
    .or_null(),
    SchemaColumn::text("feature", "its name", |s| Some(s.feature.as_str().into())),
    SchemaColumn::text("kind", "numeric, categorical, or the signature's word for what is neither", |s| {
        Some(s.kind.as_str().into())
    }),
    SchemaColumn::flag("protected", "whether fairness is watched over its values", |s| Some(s.protected)),
];

pub static GOLDEN_ROWS: PlainTable<Arc<GoldenRow>> = PlainTable {
    name: "golden_rows",
    description: "in gates: inputs with expected outputs, and what the serving runtime makes of them; empty elsewhere",
    rows: |snapshot| &snapshot.golden_rows,
    columns: &[
        GoldenColumn::text("model", "name of the registered model", |g| Some(g.model.as_str().into())),
        GoldenColumn::text("version", "number of the version", |g| Some(g.version.as_str().into())),
        GoldenColumn::count("row", "number of the row, from 0 on", |g| Some(count(g.row))),
        GoldenColumn::text("output", "name of the output", |g| Some(g.output.as_str().into())),
        GoldenColumn::text("expected", "what was logged with the version", |g| Some(g.expected.as_str().into())),
        GoldenColumn::text("actual", "what the serving runtime answers; null when it could not be asked", |g| {
            g.actual.as_deref().map(Into::into)
        })
        .or_null(),
        GoldenColumn::float("difference", "of numbers, without sign; null of others", |g| g.difference).or_null(),
        GoldenColumn::flag("matches", "whether they agree within the tolerance", |g| Some(g.matches)),
    ],
};

pub static GATES: PlainTable<Arc<GateRow>> = PlainTable {
    name: "gates",
    description: "one row per gate of the latest run of each version's gates",
    rows: |snapshot| &snapshot.gates,
    columns: &[
        GateColumn::text("model", "name of the registered model", |g| Some(g.model.as_str().into())),
        GateColumn::text("version", "number of the version", |g| Some(g.version.as_str().into())),
        GateColumn::text("champion", "the version it was compared with; null if there was none", |g| {
            g.champion.as_deref().map(Into::into)
        })
        .or_null(),
        GateColumn::time("at", "when the gates ran", |g| Some(g.at)),
        GateColumn::text("gate", "its name", |g| Some(g.gate.as_str().into())),
        GateColumn::text("severity", "a critical gate must pass, the others are told only", |g| {
            Some(g.severity.name().into())
        }),
        GateColumn::text("verdict", "passed, failed, inconclusive or broken", |g| Some(g.verdict.into())),
        GateColumn::count("rows", "rows that the gate returned", |g| Some(count(g.rows))),
        GateColumn::text("sample", "the first of them, as JSON", |g| Some(g.sample.as_str().into())),
        GateColumn::text("detail", "why it is inconclusive or broken; null otherwise", |g| {
            g.detail.as_deref().map(Into::into)
        })
        .or_null(),
    ],
};
