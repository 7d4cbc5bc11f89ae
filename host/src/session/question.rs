//! How a request of the agent's becomes a question to a person, and how what the person sends becomes a decision.
//! Pure: no I/O, no clock. What the platform cannot show is answered in words.

use serde_json::Value;

use crate::chat::{
    Ask, Choice, Editable, Field, FieldKind, Form, OptionItem, Question, Selection, Style, Subject, Token, UnixMillis,
    now,
};
use crate::store::{AskRow, Decision, FormKind, TokenRow};

/// Most choices that are shown as buttons; more are a form.
const BUTTONS_MAX: usize = 10;
/// What a person may send in one field, in characters.
const ANSWER_MAX: usize = 8000;

/// What the platform can show of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shows {
    pub buttons: bool,
    /// Several options at once.
    pub choices: bool,
    pub forms: bool,
}

impl Shows {
    /// Everything.
    pub const ALL: Self = Self {
        buttons: true,
        choices: true,
        forms: true,
    };
}

/// The question as it is shown, and what its buttons stand for.
pub fn pose(row: &AskRow, title: String, detail: String, shows: Shows) -> (Ask, Vec<TokenRow>) {
    let mut ask = Ask {
        title,
        text: detail,
        choices: Vec::new(),
        selection: None,
        settled: None,
    };
    let mut poser = Poser {
        row,
        shows,
        tokens: Vec::new(),
    };
    match &row.subject {
        Subject::Tool => poser.tool(&mut ask),
        Subject::Plan => poser.plan(&mut ask),
        Subject::Questions(questions) => poser.questions(&mut ask, questions),
    }
    if let Some(how) = how_in_words(row, shows) {
        if !ask.text.is_empty() {
            ask.text.push_str("\n\n");
        }
        ask.text.push_str(&how);
    }
    (ask, poser.tokens)
}

struct Poser<'a> {
    row: &'a AskRow,
    shows: Shows,
    tokens: Vec<TokenRow>,
}

impl Poser<'_> {
    fn token(&mut self, decision: Decision) -> Token {
        let token = Token::random();
        self.tokens.push(TokenRow {
            token: token.clone(),
            bot: self.row.bot.clone(),
            conversation: self.row.conversation.clone(),
            session: self.row.session.clone(),
            turn: self.row.turn.clone(),
            ask: Some(self.row.id.clone()),
            decision,
            expires: self.row.expires,
        });
        token
    }

    /// A button, where there are any; one that opens a form, where there are forms.
    fn choice(&mut self, ask: &mut Ask, label: &str, description: &str, style: Style, decision: Decision) {
        if !self.shows.buttons || (matches!(decision, Decision::Form(_)) && !self.shows.forms) {
            return;
        }
        let token = self.token(decision);
        ask.choices.push(Choice {
            label: label.to_owned(),
            description: description.to_owned(),
            token,
            style,
        });
    }

    fn tool(&mut self, ask: &mut Ask) {
        self.choice(ask, "Allow", "", Style::Primary, Decision::Allow);
        if let Some(lasting) = &self.row.lasting {
            let label = "Allow for this session";
            self.choice(ask, label, &lasting.words, Style::Plain, Decision::AllowSession);
        }
        if self.row.editable != Editable::No {
            self.choice(ask, "Edit…", "", Style::Plain, Decision::Form(FormKind::Input));
        }
        self.choice(ask, "Deny", "", Style::Danger, Decision::Deny);
        if self.row.hears {
            let label = "Deny with a reason…";
            self.choice(ask, label, "", Style::Plain, Decision::Form(FormKind::Reason));
        }
    }

    fn plan(&mut self, ask: &mut Ask) {
        self.choice(ask, "Go ahead", "", Style::Primary, Decision::Allow);
        self.choice(ask, "Keep planning", "", Style::Plain, Decision::Deny);
        let label = "Say what is missing…";
        self.choice(ask, label, "", Style::Plain, Decision::Form(FormKind::Reason));
    }

    fn questions(&mut self, ask: &mut Ask, questions: &[Question]) {
        match questions {
            [one] if !one.several && one.options.len() <= BUTTONS_MAX => {
                for (label, _) in &one.options {
                    let answer = Decision::Answer(vec![(one.text.clone(), label.clone())]);
                    self.choice(ask, label, "", Style::Plain, answer);
                }
                let label = "Something else…";
                self.choice(ask, label, "", Style::Plain, Decision::Form(FormKind::Answers));
            }
            [one] if one.several && self.shows.choices && !one.options.is_empty() => {
                let token = self.token(Decision::Choose);
                ask.selection = Some(Selection {
                    token,
                    options: options(one),
                    submit: "Answer".to_owned(),
                });
                let label = "Something else…";
                self.choice(ask, label, "", Style::Plain, Decision::Form(FormKind::Answers));
            }
            _ => {
                self.choice(ask, "Answer…", "", Style::Primary, Decision::Form(FormKind::Answers));
            }
        }
        self.choice(ask, "Skip", "", Style::Plain, Decision::Deny);
    }
}

/// How it is answered where something of it cannot be pressed.
fn how_in_words(row: &AskRow, shows: Shows) -> Option<String> {
    if shows.buttons && shows.forms {
        return None;
    }
    if matches!(row.subject, Subject::Questions(_)) {
        let how = if shows.buttons {
            "Or say `/answer` and your own words."
        } else {
            "Answer with your next message: an option, its number, or your own words."
        };
        return Some(how.to_owned());
    }
    let (mut words, slash) = if shows.buttons {
        (Vec::new(), "/")
    } else {
        (vec!["`allow`".to_owned(), "`deny`".to_owned()], "")
    };
    if !shows.buttons && row.lasting.is_some() {
        words.push("`allow all` for this session".to_owned());
    }
    if row.hears {
        words.push(format!("`{slash}deny` and why"));
    }
    match &row.editable {
        Editable::No => {}
        Editable::Field(name) => words.push(format!("`{slash}edit` and another {name}")),
        Editable::Json => words.push(format!("`{slash}edit` and another input as JSON")),
    }
    let all = words.join(", ");
    match (words.is_empty(), shows.buttons) {
        (true, _) => None,
        (false, true) => Some(format!("Or say {all}.")),
        (false, false) => Some(format!("Answer with your next message: {all}.")),
    }
}

/// The form that a button opens.
pub fn form(kind: FormKind, row: &AskRow, token: &Token) -> Form {
    let (title, submit, fields) = match kind {
        FormKind::Input => ("Change it", "Allow this", vec![input_field(row)]),
        FormKind::Reason => {
            let (title, label) = match row.subject {
                Subject::Plan => ("What is missing?", "What the agent should plan"),
                Subject::Tool | Subject::Questions(_) => ("Why not?", "What the agent is told"),
            };
            let reason = field("reason", label, FieldKind::Paragraph, "", true);
            (title, "Send", vec![reason])
        }
        FormKind::Answers => {
            let questions = match &row.subject {
                Subject::Questions(questions) => questions.as_slice(),
                Subject::Tool | Subject::Plan => &[],
            };
            let fields = questions.iter().enumerate().flat_map(answer_fields).collect();
            ("Your answer", "Send", fields)
        }
    };
    Form {
        token: token.clone(),
        title: title.to_owned(),
        fields,
        submit: submit.to_owned(),
    }
}

fn field(name: &str, label: &str, kind: FieldKind, value: &str, required: bool) -> Field {
    Field {
        name: name.to_owned(),
        label: label.to_owned(),
        kind,
        value: value.to_owned(),
        placeholder: String::new(),
        required,
    }
}

fn input_field(row: &AskRow) -> Field {
    let input = serde_json::from_str::<Value>(&row.input).unwrap_or_default();
    match &row.editable {
        Editable::Field(name) => {
            let value = input.get(name).and_then(Value::as_str).unwrap_or_default();
            field("input", name, FieldKind::Paragraph, value, true)
        }
        Editable::Json | Editable::No => {
            let value = serde_json::to_string_pretty(&input).unwrap_or_default();
            field("input", "Input, as JSON", FieldKind::Paragraph, &value, true)
        }
    }
}

fn answer_fields((at, question): (usize, &Question)) -> Vec<Field> {
    let own = field(&format!("own{at}"), "Or in your own words", FieldKind::Line, "", false);
    if question.options.is_empty() {
        let name = format!("own{at}");
        return vec![field(&name, &question.text, FieldKind::Paragraph, "", true)];
    }
    let kind = if question.several {
        FieldKind::SomeOf(options(question))
    } else {
        FieldKind::OneOf(options(question))
    };
    vec![field(&format!("option{at}"), &question.text, kind, "", false), own]
}

/// The value of an option is its number: what a platform gives back is never taken for the agent's words.
fn options(question: &Question) -> Vec<OptionItem> {
    let item = |(number, (label, description)): (usize, &(String, String))| OptionItem {
        label: label.clone(),
        description: description.clone(),
        value: number.to_string(),
    };
    question.options.iter().enumerate().map(item).collect()
}

/// What is wrong with a form: fields, and what to say of each.
pub type Corrections = Vec<(String, String)>;

fn correct(field: &str, say: &str) -> Corrections {
    vec![(field.to_owned(), say.to_owned())]
}

/// What a form that was sent decides.
///
/// # Errors
/// It cannot be taken as it is.
pub fn sent(kind: FormKind, row: &AskRow, values: &[(String, String)]) -> Result<Decision, Corrections> {
    let text = |name: &str| {
        let value = values.iter().find(|(field, _)| field == name);
        value.map(|(_, value)| value.trim()).unwrap_or_default()
    };
    let long = |name: &str| text(name).chars().count() > ANSWER_MAX;
    match kind {
        FormKind::Input => changed_input(row, text("input")),
        FormKind::Reason if text("reason").is_empty() => Err(correct("reason", "Say why, in a few words.")),
        FormKind::Reason if long("reason") => Err(correct("reason", "This is too long.")),
        FormKind::Reason => Ok(Decision::DenyBecause(text("reason").to_owned())),
        FormKind::Answers => {
            let Subject::Questions(questions) = &row.subject else {
                return Err(Corrections::new());
            };
            let mut answers = Vec::new();
            let mut wrong = Corrections::new();
            for (at, question) in questions.iter().enumerate() {
                let (option, own) = (format!("option{at}"), format!("own{at}"));
                let chosen = values
                    .iter()
                    .filter(|(name, _)| *name == option)
                    .map(|(_, value)| value);
                let answer = match text(&own) {
                    "" => chosen_labels(question, chosen),
                    words => Some(words.to_owned()),
                };
                match answer {
                    Some(answer) if answer.chars().count() <= ANSWER_MAX => {
                        answers.push((question.text.clone(), answer));
                    }
                    Some(_) => wrong.extend(correct(&own, "This is too long.")),
                    None if question.options.is_empty() => wrong.extend(correct(&own, "An answer is missing.")),
                    None => wrong.extend(correct(&option, "Choose something, or write your own answer.")),
                }
            }
            if wrong.is_empty() {
                Ok(Decision::Answer(answers))
            } else {
                Err(wrong)
            }
        }
    }
}

/// What was chosen beside a button decides. None: nothing that there is was chosen.
pub fn chosen(row: &AskRow, values: &[(String, String)]) -> Option<Decision> {
    let Subject::Questions(questions) = &row.subject else {
        return None;
    };
    let question = questions.first()?;
    let answer = chosen_labels(question, values.iter().map(|(_, value)| value))?;
    Some(Decision::Answer(vec![(question.text.clone(), answer)]))
}

fn chosen_labels<'a>(question: &Question, values: impl Iterator<Item = &'a String>) -> Option<String> {
    let label = |value: &String| {
        question
            .options
            .get(value.parse::<usize>().ok()?)
            .map(|(label, _)| label.as_str())
    };
    let labels: Vec<&str> = values.filter_map(label).collect();
    (!labels.is_empty()).then(|| labels.join(", "))
}

fn changed_input(row: &AskRow, text: &str) -> Result<Decision, Corrections> {
    if text.is_empty() {
        return Err(correct("input", "There is nothing to allow."));
    }
    let input = match &row.editable {
        Editable::No => return Err(correct("input", "This cannot be changed.")),
        Editable::Field(name) => {
            let mut input = serde_json::from_str::<Value>(&row.input).unwrap_or_default();
            let Some(fields) = input.as_object_mut() else {
                return Err(correct("input", "This cannot be changed."));
            };
            fields.insert(name.clone(), text.into());
            input
        }
        Editable::Json => match serde_json::from_str::<Value>(text) {
            Ok(input) if input.is_object() => input,
            Ok(_) => return Err(correct("input", "This needs to be a JSON object: { … }.")),
            Err(error) => {
                let say = format!("This is not JSON: line {}, column {}.", error.line(), error.column());
                return Err(correct("input", &say));
            }
        },
    };
    Ok(Decision::AllowWith(input.to_string()))
}

/// What a plain message says to an open question: a decision, or what is wrong with it. None: it says nothing to it.
pub fn said(row: &AskRow, text: &str) -> Option<Result<Decision, String>> {
    let text = text.trim();
    if let Subject::Questions(questions) = &row.subject {
        return answered(questions, text).map(Ok);
    }
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let word = word.trim_end_matches([',', ':', '.', '!']).to_lowercase();
    let rest = rest.trim();
    match (word.as_str(), rest) {
        ("allow" | "yes" | "ok" | "y", "") => Some(Ok(Decision::Allow)),
        ("allow" | "yes", "all") if row.lasting.is_some() => Some(Ok(Decision::AllowSession)),
        ("deny" | "no" | "n", "") => Some(Ok(Decision::Deny)),
        ("deny" | "no", why) => Some(Ok(Decision::DenyBecause(clip(why)))),
        ("edit", input) if row.editable != Editable::No => Some(edited(row, input)),
        _ => None,
    }
}

/// What a command says to an open question, under its name. None: it has no place there.
pub fn commanded(row: &AskRow, name: &str, argument: &str) -> Option<Result<Decision, String>> {
    match (&row.subject, name) {
        (Subject::Questions(questions), "answer") => answered(questions, argument).map(Ok),
        (Subject::Questions(_), "deny") => Some(Ok(Decision::Deny)),
        (Subject::Questions(_), _) | (_, "answer") => None,
        (_, name) => said(row, &format!("{name} {argument}")),
    }
}

fn edited(row: &AskRow, input: &str) -> Result<Decision, String> {
    changed_input(row, input).map_err(|wrong| wrong.into_iter().map(|(_, say)| say).collect())
}

/// Every question is answered with these words; a number is the option with it, from 1.
pub fn answered(questions: &[Question], text: &str) -> Option<Decision> {
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    let answer = |question: &Question| {
        let by_number = text.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
        let option = by_number.and_then(|at| question.options.get(at));
        let same = |(label, _): &&(String, String)| label.eq_ignore_ascii_case(text);
        let option = option.or_else(|| question.options.iter().find(same));
        let words = option.map_or_else(|| clip(text), |(label, _)| label.clone());
        (question.text.clone(), words)
    };
    Some(Decision::Answer(questions.iter().map(answer).collect()))
}

fn clip(text: &str) -> String {
    text.chars().take(ANSWER_MAX).collect()
}

/// What stands under a decided question.
pub(super) fn words(row: &AskRow, decision: &Decision, who: &str) -> String {
    let plan = row.subject == Subject::Plan;
    let (what, more) = match decision {
        Decision::Allow if plan => ("Approved", String::new()),
        Decision::Allow => ("Allowed", String::new()),
        Decision::AllowSession => ("Allowed for this session", String::new()),
        Decision::AllowWith(input) => ("Allowed with changes", format!(": `{}`", shown_input(row, input))),
        Decision::Answer(answers) => {
            let all: Vec<&str> = answers.iter().map(|(_, answer)| answer.as_str()).collect();
            ("Answered", format!(": {}", all.join("; ")))
        }
        Decision::Deny if who.is_empty() => return EXPIRED.to_owned(),
        Decision::Deny if plan => ("Planning goes on, says", String::new()),
        Decision::Deny if matches!(row.subject, Subject::Questions(_)) => ("Skipped", String::new()),
        Decision::Deny => ("Denied", String::new()),
        Decision::DenyBecause(why) if plan => ("Planning goes on, says", format!(": {why}")),
        Decision::DenyBecause(why) => ("Denied", format!(": {why}")),
        Decision::Stop
        | Decision::Withdrawn
        | Decision::Form(_)
        | Decision::Choose
        | Decision::Ask
        | Decision::Say(_)
        | Decision::Again(_)
        | Decision::Keep(_) => {
            return WITHDRAWN.to_owned();
        }
    };
    let by = match who {
        "" => String::new(),
        who if what.ends_with("says") => format!(" <@{who}>"),
        who => format!(" by <@{who}>"),
    };
    super::view::shorten(&format!("{what}{by}{more}"), 600)
}

fn shown_input(row: &AskRow, input: &str) -> String {
    let value = serde_json::from_str::<Value>(input).unwrap_or_default();
    match &row.editable {
        Editable::Field(name) => value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned(),
        Editable::Json | Editable::No => input.to_owned(),
    }
    .replace(['`', '\n'], " ")
}

pub(super) const EXPIRED: &str = "Expired: nobody decided in time";
pub(super) const WITHDRAWN: &str = "No longer needed";

/// A decision of the host's own, where nobody is left to press: when it was asked, and until when.
pub fn is_open(row: &AskRow, at: UnixMillis) -> bool {
    row.state == crate::store::AskState::Open && row.expires > at
}

/// Whether it can be decided now.
pub fn is_open_now(row: &AskRow) -> bool {
    is_open(row, now())
}

#[cfg(test)]
mod tests;
