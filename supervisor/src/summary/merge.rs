//! Several summaries of one meeting's parts become one. Pure; cannot fail.
//!
//! Done by rule and not by the model: lists are united without another chance to invent or to forget. Title and summary
//! stand here as the parts have them; where the model can, it writes them anew (`unite`).

use super::{ActionItem, Summary, TBD};

/// Unites the parts in their order. What two parts say in the same words, apart from case and punctuation, is
/// said once.
pub fn merge(parts: &[Summary]) -> Summary {
    let all = |list: fn(&Summary) -> &Vec<String>| unite(parts.iter().flat_map(list));
    Summary {
        title: parts.iter().map(|p| p.title.trim()).find(|t| !t.is_empty()).unwrap_or_default().to_owned(),
        summary: unite(parts.iter().map(|p| &p.summary)).join("\n\n"),
        participants: all(|p| &p.participants),
        key_points: all(|p| &p.key_points),
        decisions: all(|p| &p.decisions),
        actions: unite_actions(parts.iter().flat_map(|p| &p.actions)),
        quotes: all(|p| &p.quotes),
        tone: unite(parts.iter().map(|p| &p.tone)).join("; "),
    }
}

fn unite<'a>(texts: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    texts
        .map(|text| text.trim())
        .filter(|text| !text.is_empty() && seen.insert(normal(text)))
        .map(str::to_owned)
        .collect()
}

/// The same task of the same owner is one item; an owner or date that one part does not know is taken from the
/// part that does. A task with two owners or two dates stays two items: which one holds is not ours to say.
fn unite_actions<'a>(items: impl Iterator<Item = &'a ActionItem>) -> Vec<ActionItem> {
    let mut united: Vec<ActionItem> = Vec::new();
    for item in items {
        let same = |known: &&mut ActionItem| {
            normal(&known.task) == normal(&item.task)
                && agree(&known.owner, &item.owner)
                && agree(&known.due, &item.due)
        };
        match united.iter_mut().find(same) {
            Some(known) => {
                fill(&mut known.owner, &item.owner);
                fill(&mut known.due, &item.due);
                known.done |= item.done;
            }
            None => united.push(item.clone()),
        }
    }
    united
}

fn agree(a: &str, b: &str) -> bool {
    a == TBD || b == TBD || normal(a) == normal(b)
}

fn fill(known: &mut String, other: &str) {
    if known == TBD {
        other.clone_into(known);
    }
}

/// Letters and digits in lower case; where there are none, the text itself.
fn normal(text: &str) -> String {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty());
    let key = words.map(str::to_lowercase).collect::<Vec<_>>().join(" ");
    if key.is_empty() { text.trim().to_owned() } else { key }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn action(owner: &str, task: &str, due: &str) -> ActionItem {
        ActionItem { owner: owner.into(), task: task.into(), due: due.into(), done: false }
    }

    fn strings(items: &[&str]) -> Vec<String> {
        items.iter().map(|&i| i.to_owned()).collect()
    }

    #[test]
    fn lists_are_united_in_order_without_repetitions() {
        let a = Summary {
            summary: "First.".into(),
            key_points: strings(&["the budget is late", "we met"]),
            tone: "friendly".into(),
            ..Summary::default()
        };
        let b = Summary {
            title: "Budget".into(),
            summary: "Second.".into(),
            key_points: strings(&["The budget is late.", "…", "more"]),
            tone: "Friendly".into(),
            ..Summary::default()
        };
        let c =
            Summary {
                title: "Other".into(), tone: "tense".into(), quotes: strings(&["…", "?"]), ..Summary::default()
            };
        let merged = merge(&[a, b, c]);
        assert_eq!((merged.title.as_str(), merged.summary.as_str()), ("Budget", "First.\n\nSecond."));
        assert_eq!(merged.key_points, ["the budget is late", "we met", "…", "more"]);
        assert_eq!(merged.quotes, ["…", "?"]);
        assert_eq!(merged.tone, "friendly; tense");
    }

    #[test]
    fn an_action_known_better_elsewhere_is_completed() {
        let part = |items: &[ActionItem]| Summary { actions: items.to_vec(), ..Summary::default() };
        let merged = merge(&[
            part(&[action("tbd", "write the report", "tbd"), action("Bob", "call", "Monday")]),
            part(&[action("Alice", "Write the report.", "Friday"), action("Bob", "call", "Tuesday")]),
            part(&[action("Bob", "call", "Monday")]),
        ]);
        let seen: Vec<(&str, &str)> = merged.actions.iter().map(|a| (a.owner.as_str(), a.due.as_str())).collect();
        assert_eq!(seen, [("Alice", "Friday"), ("Bob", "Monday"), ("Bob", "Tuesday")]);
    }

    #[test]
    fn one_part_stays_as_it_is_and_none_is_empty() {
        let one = Summary { title: "T".into(), actions: vec![action("A", "b", "tbd")], ..Summary::default() };
        assert_eq!(merge(std::slice::from_ref(&one)), one);
        assert!(merge(&[]).is_empty());
    }
}
