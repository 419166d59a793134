//! `truce held resolve`: what a person says a held field should hold.

use anyhow::Result;

use crate::agent::held::{self, Way};
use crate::cli::failure::Unusable;
use crate::cli::places::operator;
use crate::cli::remembered::plans;
use crate::cli::visit::Visit;
use crate::reconcile::{Field, Shape, Side, Value};

use super::{Choice, say, wanted, word};

#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("what").required(true)))]
pub(in crate::cli) struct Options {
    #[command(flatten)]
    choice: Choice,
    /// Let this side's value stand
    #[arg(long, value_enum, group = "what")]
    take: Option<Taken>,
    /// Let this value stand on both sides; empty is no value. A set is NAME;NAME
    #[arg(long, group = "what", requires = "field")]
    value: Option<String>,
    /// Leave both sides as they are until either moves
    #[arg(long, group = "what")]
    ignore: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Taken {
    /// Campaign's
    Campaign,
    /// The CRM's
    Crm,
}

pub(super) async fn resolve(options: Options) -> Result<()> {
    let choice = &options.choice;
    let visit = Visit::open(&choice.config).await?;
    if !choice.names_some() {
        let why = "say what to resolve: --mapping, --reason or --key";
        return Err(Unusable::new(why).into());
    }
    let wanted = wanted(&visit, choice)?;
    let way = match (options.take, &options.value) {
        (Some(Taken::Campaign), _) => Way::Take(Side::Campaign),
        (Some(Taken::Crm), _) => Way::Take(Side::Crm),
        (None, None) => Way::Ignore,
        (None, Some(text)) => {
            let field = wanted.filter.field;
            let field = field.ok_or_else(|| Unusable::new("--value is for one field: --field"))?;
            Way::Give(value(&visit, choice, field, text).await?)
        }
    };
    let by = operator();
    let opened = held::open(&visit.ledger, &visit.plans, &wanted, &way, word(&by)).await?;
    say(&opened, "resolved", options.json)
}

/// The text as the value of a field, in the form that both sides can hold.
async fn value(visit: &Visit, choice: &Choice, field: Field, text: &str) -> Result<Value> {
    let name = choice.field.as_deref().unwrap_or_default();
    let plans = plans(visit).await?;
    let mapping = choice.mapping.as_deref().map(|name| visit.entity(name)).transpose()?;
    let rule = mapping.and_then(|entity| plans.get(&entity)?.policy.fields.get(&field).cloned());
    let Some(rule) = rule else {
        anyhow::bail!("the mapping does not fit both sides: `truce check` says why");
    };
    let unusable = |why: String| Unusable::new(format!("--value for `{name}` {why}"));
    let value = parse(&rule.shape, text).map_err(unusable)?;
    Ok(rule.shape.canonical(value).map_err(|unfit| unusable(unfit.to_string()))?)
}

/// Reads a text as a field's value; an error says what it is not.
fn parse(shape: &Shape, text: &str) -> Result<Value, String> {
    if text.is_empty() {
        return Ok(Value::Null);
    }
    let not = || format!("is not {}", shape.noun());
    let value = match shape {
        Shape::Text(_) => Some(Value::Text(text.into())),
        Shape::Bool => text.parse().ok().map(Value::Bool),
        Shape::Int { .. } => text.parse().ok().map(Value::Int),
        Shape::Decimal { .. } => text.parse().ok().map(Value::Decimal),
        Shape::Date => text.parse().ok().map(Value::Date),
        Shape::Time => text.parse().ok().map(Value::Time),
        Shape::Instant => text.parse().ok().map(Value::Instant),
        Shape::Uuid => u128::from_str_radix(&text.replace('-', ""), 16).ok().map(Value::Uuid),
        Shape::Set { .. } => {
            let names = text.split(';').map(str::trim).filter(|name| !name.is_empty());
            Some(Value::Set(names.map(Into::into).collect()))
        }
        Shape::Reference(_) => {
            return Err("is a reference: --take the side that names the right record".to_owned());
        }
        Shape::Consent => return Err("is consent, which --take decides".to_owned()),
    };
    value.ok_or_else(not)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_as_the_kind_of_its_field() {
        let parse = |shape, text| parse(&shape, text);
        assert_eq!(parse(Shape::Bool, "true"), Ok(Value::Bool(true)));
        assert_eq!(parse(Shape::Int { min: 0, max: 9 }, "7"), Ok(Value::Int(7)));
        assert_eq!(parse(Shape::Date, ""), Ok(Value::Null));
        assert_eq!(parse(Shape::Date, "soon"), Err("is not a date".to_owned()));
        let set = parse(Shape::Set { max: 40 }, "Web; Phone;").unwrap();
        assert_eq!(set, Value::Set(["Phone".into(), "Web".into()].into()));
        assert!(parse(Shape::Consent, "in").unwrap_err().contains("--take"));
    }
}
