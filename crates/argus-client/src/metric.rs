//! Metrics: readings of named quantities.

use argus_model::codec::{Encoder, Full};
use argus_model::{Kind, NameKind};
use argus_spool::{Appended, Weight, append};

use crate::name;

/// Records one reading. `unit` is a UCUM unit as in OpenTelemetry (`s`, `By`, `1`), empty for none.
///
/// The name is interned: it must come from the program's text, not from its data.
pub fn metric(name: &str, value: f64, unit: &str) -> Appended {
    metric_with(name, value, unit, |_| Ok(()))
}

/// Records one reading with what distinguishes it from others of its name: `attributes` writes
/// key-value pairs and may be called twice.
pub fn metric_with(
    name: &str,
    value: f64,
    unit: &str,
    mut attributes: impl FnMut(&mut Encoder<'_>) -> Result<(), Full>,
) -> Appended {
    if argus_spool::disabled() {
        return Appended::Disabled;
    }
    let name = name::plain(NameKind::Metric, name);
    append(Kind::Metric, Weight::Normal, &[name], |out, at| {
        out.u32(0)?;
        out.u64(at.nanos())?;
        out.f64(value)?;
        out.varint(name.number().0.into())?;
        out.text(unit)?;
        attributes(out)
    })
}
