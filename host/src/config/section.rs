//! One table of bots.toml while it is read: takes the keys that are asked for, each with its key path and line, and
//! tells of those that nobody asked for. A wrong type is a problem of its key alone.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::nearest::nearest;
use super::problem::{Problem, line_of};

/// A value and where it stands.
#[derive(Debug, Clone)]
pub struct At<T> {
    pub value: T,
    pub key: String,
    pub line: usize,
}

impl<T> At<T> {
    pub(super) fn problem(&self, message: impl Into<String>, hint: impl Into<String>) -> Problem {
        self.place().problem(message, hint)
    }

    pub(super) fn warning(&self, message: impl Into<String>, hint: impl Into<String>) -> Problem {
        Problem {
            warning: true,
            ..self.problem(message, hint)
        }
    }

    /// Where it stands, without the value.
    pub(super) fn place(&self) -> Place {
        Place {
            key: self.key.clone(),
            line: self.line,
        }
    }
}

/// A key path and its line.
#[derive(Debug, Clone, Default)]
pub struct Place {
    pub key: String,
    /// 0: nothing stands in the file.
    pub line: usize,
}

impl Place {
    pub(super) fn problem(&self, message: impl Into<String>, hint: impl Into<String>) -> Problem {
        let hint = hint.into();
        Problem {
            key: self.key.clone(),
            line: (self.line > 0).then_some(self.line),
            message: message.into(),
            hint: (!hint.is_empty()).then_some(hint),
            warning: false,
        }
    }

    pub(super) fn warning(&self, message: impl Into<String>, hint: impl Into<String>) -> Problem {
        Problem {
            warning: true,
            ..self.problem(message, hint)
        }
    }

    /// The place of a key below this one.
    pub(super) fn below(&self, name: &str) -> Self {
        Self {
            key: join(&self.key, name),
            line: self.line,
        }
    }
}

/// `key.name`, the name quoted where TOML wants it.
pub(super) fn join(key: &str, name: &str) -> String {
    let bare = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    let name = if bare { name.to_owned() } else { format!("{name:?}") };
    if key.is_empty() { name } else { format!("{key}.{name}") }
}

/// The text, and what was found wrong in it so far.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    pub(super) text: &'a str,
    pub(super) problems: Vec<Problem>,
}

/// A table that is being read.
#[derive(Debug)]
pub(super) struct Section<'a> {
    table: Option<&'a DeTable<'a>>,
    place: Place,
    /// Keys that were asked for.
    known: Vec<&'static str>,
}

impl<'a> Section<'a> {
    pub(super) const fn new(table: Option<&'a DeTable<'a>>, place: Place) -> Self {
        Self {
            table,
            place,
            known: Vec::new(),
        }
    }

    /// The value of this key as it stands.
    pub(super) fn take(&mut self, reader: &Reader<'a>, name: &'static str) -> Option<At<&'a DeValue<'a>>> {
        self.known.push(name);
        let (_, value) = self.table?.iter().find(|(key, _)| key.get_ref() == name)?;
        Some(at(reader, &self.place.key, name, value))
    }

    fn typed<T>(
        &mut self,
        reader: &mut Reader<'a>,
        name: &'static str,
        wanted: &str,
        example: &str,
        convert: impl FnOnce(&'a DeValue<'a>) -> Option<T>,
    ) -> Option<At<T>> {
        let found = self.take(reader, name)?;
        let Some(value) = convert(found.value) else {
            reader.problems.push(found.problem(
                format!("needs {wanted}, not {}", called(found.value)),
                format!("for example `{name} = {example}`"),
            ));
            return None;
        };
        Some(At {
            value,
            key: found.key,
            line: found.line,
        })
    }

    /// `example` is shown when the type is wrong, as it would stand in the file.
    pub(super) fn text(&mut self, reader: &mut Reader<'a>, name: &'static str, example: &str) -> Option<At<String>> {
        self.typed(reader, name, "a text", example, |value| {
            value.as_str().map(str::to_owned)
        })
    }

    pub(super) fn flag(&mut self, reader: &mut Reader<'a>, name: &'static str) -> Option<At<bool>> {
        self.typed(reader, name, "true or false", "true", DeValue::as_bool)
    }

    pub(super) fn number(&mut self, reader: &mut Reader<'a>, name: &'static str, example: &str) -> Option<At<i64>> {
        self.typed(reader, name, "a whole number", example, |value| {
            let number = value.as_integer()?;
            // Out of range is out of every range here: what checks the range says so.
            Some(i64::from_str_radix(number.as_str(), number.radix()).unwrap_or(i64::MAX))
        })
    }

    /// A list of texts.
    pub(super) fn list(
        &mut self,
        reader: &mut Reader<'a>,
        name: &'static str,
        example: &str,
    ) -> Option<At<Vec<At<String>>>> {
        let list = self.typed(reader, name, "a list of texts", example, |value| value.as_array())?;
        let mut items = Vec::new();
        for (index, item) in list.value.iter().enumerate() {
            let place = Place {
                key: format!("{}[{index}]", list.key),
                line: line_of(reader.text, item.span().start),
            };
            match item.get_ref().as_str() {
                Some(text) => items.push(At {
                    value: text.to_owned(),
                    key: place.key,
                    line: place.line,
                }),
                None => reader.problems.push(place.problem(
                    format!("needs a text, not {}", called(item.get_ref())),
                    format!("for example `{name} = {example}`"),
                )),
            }
        }
        Some(At {
            value: items,
            key: list.key,
            line: list.line,
        })
    }

    /// A table of names and texts that the config itself does not know, by name. `scalars`: numbers and flags are
    /// taken for their text.
    pub(super) fn pairs(
        &mut self,
        reader: &mut Reader<'a>,
        name: &'static str,
        example: &str,
        scalars: bool,
    ) -> Vec<(String, At<String>)> {
        let Some(table) = self.typed(reader, name, "a table", example, |value| value.as_table()) else {
            return Vec::new();
        };
        let mut pairs = Vec::new();
        for (key, value) in table.value {
            let found = at(reader, &table.key, key.get_ref(), value);
            let text = match found.value {
                DeValue::String(text) => Some(text.to_string()),
                DeValue::Integer(number) if scalars => Some(number.to_string()),
                DeValue::Float(number) if scalars => Some(number.to_string()),
                DeValue::Boolean(flag) if scalars => Some(flag.to_string()),
                _ => None,
            };
            match text {
                Some(text) => pairs.push((
                    key.get_ref().to_string(),
                    At {
                        value: text,
                        key: found.key,
                        line: found.line,
                    },
                )),
                None => reader.problems.push(found.problem(
                    format!("needs a text, not {}", called(found.value)),
                    format!("for example `{name} = {example}`"),
                )),
            }
        }
        pairs
    }

    /// Nothing more will be asked for: what is left in the table is a mistake.
    pub(super) fn finish(self, reader: &mut Reader<'a>) {
        for (key, value) in self.table.into_iter().flatten() {
            let name = key.get_ref();
            if self.known.iter().any(|known| known == name) {
                continue;
            }
            let line = line_of(reader.text, key.span().start.min(value.span().start));
            let place = Place {
                key: join(&self.place.key, name),
                line,
            };
            let hint = match nearest(name, self.known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known here: {}", self.known.join(", ")),
            };
            reader.problems.push(place.problem("unknown key", hint));
        }
    }
}

pub(super) fn at<'a>(
    reader: &Reader<'a>,
    key: &str,
    name: &str,
    value: &'a Spanned<DeValue<'a>>,
) -> At<&'a DeValue<'a>> {
    At {
        value: value.get_ref(),
        key: join(key, name),
        line: line_of(reader.text, value.span().start),
    }
}

/// What a person calls a value of this type.
pub(super) fn called(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
