//! `versions`: versions of registered models.

use std::sync::Arc;

use super::column;
use super::count;
use super::table::PlainTable;
use crate::query::VersionRow;

type Column = column::Column<Arc<VersionRow>>;

pub static TABLE: PlainTable<Arc<VersionRow>> = PlainTable {
    name: "versions",
    description: "one row per version of a registered model",
    rows: |snapshot| &snapshot.versions,
    columns: &[
        Column::text("model", "name of the registered model", |v| Some(v.model.as_str().into())),
        Column::text("version", "number of the version, as events carry it", |v| Some(v.version.to_string().into())),
        Column::text("stage", "None, Staging, Production or Archived", |v| Some(v.stage.into())),
        Column::text("aliases", "names that stand for it, separated by commas", |v| Some(v.aliases.as_str().into())),
        Column::text("description", "what its owner says of it", |v| Some(v.description.as_str().into())),
        Column::text("source", "where its files are", |v| Some(v.source.as_str().into())),
        Column::text("run_id", "the run that made it; null when not known", |v| non_empty(&v.run_id)).or_null(),
        Column::text("code_version", "commit of the code that made it; null when not known", |v| {
            non_empty(&v.code_version)
        })
        .or_null(),
        Column::text("data_version", "digests of its training data; null when not known", |v| {
            non_empty(&v.data_version)
        })
        .or_null(),
        Column::text("created_by", "who registered it", |v| Some(v.created_by.as_str().into())),
        Column::time("created_at", "when it was registered", |v| Some(v.created_at)),
        Column::time("updated_at", "when it was last changed", |v| Some(v.updated_at)),
        Column::text(
            "gates",
            "what its gates said: passed, failed, inconclusive or awaiting_approval; null before",
            |v| v.gates.map(Into::into),
        )
        .or_null(),
        Column::text("tags", "its tags, as JSON", |v| Some(v.tags.as_str().into())),
        Column::count("revision", "number of the decision that changed it last", |v| Some(count(v.revision))),
    ],
};

fn non_empty(text: &str) -> Option<std::borrow::Cow<'_, str>> {
    (!text.is_empty()).then(|| text.into())
}
