//! Faults on command: rules, and what they make of a call. Pure.
//!
//! # Laws
//! 1. Rules are asked in the order in which they were added; the first that holds decides, and those behind it neither
//!    see nor count what it took.
//! 2. A call that is not carried out as a whole does not reach the rules about its parts.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::change::Change;
use super::condition::Condition;
use super::reaction::{Level, Reaction};
use super::refusal::Refusal;
use super::subject::{Call, Subject};

/// A rule: where the condition holds, the reaction happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// When.
    pub condition: Condition,
    /// What.
    pub reaction: Reaction,
}

impl Rule {
    /// A rule.
    #[must_use]
    pub fn new(condition: Condition, reaction: Reaction) -> Self {
        Self { condition, reaction }
    }
}

/// What the rules make of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    /// About the whole call.
    pub(super) call: Option<Reaction>,
    /// About its region actions, in the order of the request; shorter than the request if nothing hits the rest.
    pub(super) regions: Vec<RegionVerdict>,
}

/// What the rules make of a region action.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RegionVerdict {
    pub(super) change: Option<Change>,
    /// Refused as a whole.
    pub(super) refused: Option<Refusal>,
    /// Every action of it is refused with this.
    pub(super) poison: Option<Refusal>,
    /// Refusals by place of the action.
    pub(super) actions: BTreeMap<usize, Refusal>,
}

impl Verdict {
    pub(super) fn region(&self, place: usize) -> Option<&RegionVerdict> {
        self.regions.get(place)
    }

    /// What refuses a call of one row.
    pub(super) fn single(&self) -> Option<&Refusal> {
        self.regions.first()?.any()
    }

    /// What changes before a call of one row.
    pub(super) fn change(&self) -> Option<&Change> {
        self.regions.first()?.change.as_ref()
    }
}

impl RegionVerdict {
    /// What refuses the action at a place of a region action that is not refused as a whole.
    pub(super) fn action(&self, place: usize) -> Option<&Refusal> {
        self.poison.as_ref().or_else(|| self.actions.get(&place))
    }

    /// What refuses actions that are carried out together or not at all.
    pub(super) fn any(&self) -> Option<&Refusal> {
        self.refused.as_ref().or(self.poison.as_ref()).or_else(|| self.actions.values().next())
    }
}

/// The rules of a cluster, by the number they were added with.
#[derive(Debug, Default)]
struct List {
    rules: BTreeMap<u64, Held>,
    last: u64,
}

#[derive(Debug)]
struct Held {
    rule: Rule,
    hits: u64,
}

impl List {
    fn first(&mut self, level: Level, subject: &Subject<'_>) -> Option<Reaction> {
        let mut rules = self.rules.values_mut().filter(|held| held.rule.reaction.level() == level);
        rules.find_map(|Held { rule, hits }| {
            let holds = rule.condition.holds(subject);
            *hits += u64::from(holds);
            holds.then(|| rule.reaction.clone())
        })
    }

    fn judge(&mut self, call: &Call) -> Verdict {
        let reaction = self.first(Level::Call, &call.whole());
        if reaction.as_ref().is_some_and(|reaction| !reaction.carries_out()) {
            return Verdict { call: reaction, regions: Vec::new() };
        }
        let mut regions: Vec<RegionVerdict> =
            call.regions.iter().map(|range| self.judge_region(&call.region(range))).collect();
        let hit = regions.iter().rposition(|region| *region != RegionVerdict::default());
        regions.truncate(hit.map_or(0, |last| last + 1));
        Verdict { call: reaction, regions }
    }

    fn judge_region(&mut self, region: &Subject<'_>) -> RegionVerdict {
        let mut verdict = RegionVerdict::default();
        match self.first(Level::Region, region) {
            Some(Reaction::RefuseRegions(refusal)) => verdict.refused = Some(refusal),
            Some(Reaction::Poison(refusal)) => verdict.poison = Some(refusal),
            Some(Reaction::Change(change)) => verdict.change = Some(change),
            _ => {}
        }
        if verdict.refused.is_some() || verdict.poison.is_some() {
            return verdict;
        }
        for part in region.parts.chunks(1) {
            let place = part.first().map_or(0, |part| part.place);
            let subject = Subject { call: region.call, parts: part };
            if let Some(Reaction::RefuseActions(refusal)) = self.first(Level::Action, &subject) {
                verdict.actions.insert(place, refusal);
            }
        }
        verdict
    }
}

/// The rules that hold now. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    list: Arc<Mutex<List>>,
}

impl Rules {
    fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a rule. Returns its number.
    pub(super) fn add(&self, rule: Rule) -> u64 {
        let mut list = self.list();
        list.last += 1;
        let number = list.last;
        list.rules.insert(number, Held { rule, hits: 0 });
        number
    }

    fn remove(&self, number: u64) {
        self.list().rules.remove(&number);
    }

    /// Whether no rule has to be asked.
    pub(super) fn is_empty(&self) -> bool {
        self.list().rules.is_empty()
    }

    /// What the rules make of a call. Counts it.
    pub(super) fn judge(&self, call: &Call) -> Verdict {
        self.list().judge(call)
    }

    /// The refusal of a connection at its header.
    pub(super) fn refuse_connection(&self, service: &str, server: Option<usize>) -> Option<Refusal> {
        let call = Call { service: service.to_owned(), server, ..Call::default() };
        match self.list().first(Level::Connection, &call.whole()) {
            Some(Reaction::RefuseConnection(refusal)) => Some(refusal),
            _ => None,
        }
    }
}

/// A rule that holds while this lives.
#[derive(Debug)]
#[must_use = "the rule ends when this is dropped"]
pub struct Injection {
    rules: Rules,
    number: u64,
}

impl Injection {
    pub(super) fn new(rules: Rules, rule: Rule) -> Self {
        let number = rules.add(rule);
        Self { rules, number }
    }

    /// How often the rule has hit so far.
    #[must_use]
    pub fn hits(&self) -> u64 {
        self.rules.list().rules.get(&self.number).map_or(0, |held| held.hits)
    }
}

impl Drop for Injection {
    fn drop(&mut self) {
        self.rules.remove(self.number);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::subject::Part;
    use super::*;

    /// A Multi of region `a` with rows a0 a1 and region `b` with row b0.
    fn multi() -> Call {
        let part = |region: &'static str, row: &'static str, place| Part {
            region: Bytes::from_static(region.as_bytes()),
            row: Bytes::from_static(row.as_bytes()),
            place,
        };
        Call {
            service: "ClientService".to_owned(),
            method: "Multi".to_owned(),
            parts: vec![part("t,,1.a.", "a0", 0), part("t,,1.a.", "a1", 1), part("t,b,2.b.", "b0", 0)],
            regions: vec![0..2, 2..3],
            ..Call::default()
        }
    }

    fn rules(list: impl IntoIterator<Item = Rule>) -> Rules {
        let rules = Rules::default();
        list.into_iter().for_each(|rule| {
            rules.add(rule);
        });
        rules
    }

    #[test]
    fn a_reaction_hits_what_it_is_about() {
        let of_b = Condition::rows("b", "");
        let refusal = Refusal::new("RegionTooBusyException");
        let hit = |regions| Verdict { call: None, regions };
        let whole = rules([Rule::new(of_b.clone(), Reaction::Refuse(refusal.clone()))]).judge(&multi());
        assert_eq!(whole, Verdict { call: Some(Reaction::Refuse(refusal.clone())), regions: vec![] });
        let region = rules([Rule::new(of_b, Reaction::RefuseRegions(refusal.clone()))]).judge(&multi());
        let of_region = RegionVerdict { refused: Some(refusal.clone()), ..RegionVerdict::default() };
        assert_eq!(region, hit(vec![RegionVerdict::default(), of_region]));
        let of_a1 = Condition::rows("a1", "a2");
        let action = rules([Rule::new(of_a1.clone(), Reaction::RefuseActions(refusal.clone()))]).judge(&multi());
        let of_action = RegionVerdict { actions: [(1, refusal.clone())].into(), ..RegionVerdict::default() };
        assert_eq!(action, hit(vec![of_action]));
        let poison = rules([Rule::new(of_a1, Reaction::Poison(refusal.clone()))]).judge(&multi());
        assert_eq!(poison, hit(vec![RegionVerdict { poison: Some(refusal), ..RegionVerdict::default() }]));
    }

    #[test]
    fn the_first_rule_takes_a_call_and_later_ones_do_not_count_it() {
        let first = Rule::new(Condition::always().first(1), Reaction::Silence);
        let second = Rule::new(Condition::always().first(1), Reaction::Disconnect);
        let rules = rules([first, second]);
        let reactions: Vec<_> = (0..3).map(|_| rules.judge(&multi()).call).collect();
        assert_eq!(reactions, [Some(Reaction::Silence), Some(Reaction::Disconnect), None]);
    }

    #[test]
    fn a_rule_ends_with_its_injection() {
        let rules = Rules::default();
        let injection = Injection::new(rules.clone(), Rule::new(Condition::always(), Reaction::Silence));
        assert_eq!(rules.judge(&multi()).call, Some(Reaction::Silence));
        assert_eq!(injection.hits(), 1);
        drop(injection);
        assert_eq!((rules.judge(&multi()), rules.is_empty()), (Verdict::default(), true));
    }

    #[test]
    fn a_late_answer_does_not_hide_the_refusal_of_a_region() {
        let late = Rule::new(Condition::always(), Reaction::Stray);
        let refused = Rule::new(Condition::always(), Reaction::refuse_regions("NotServingRegionException"));
        let verdict = rules([late, refused]).judge(&multi());
        assert_eq!((verdict.call, verdict.regions.len()), (Some(Reaction::Stray), 2));
    }
}
