//! What a vendor does wrong, and what becomes of the answer.

use std::time::Duration;

use botyard_fakes::platform::{Fault, Place};

use super::bench::{Bench, Reply};
use super::show::{ask, carries};
use super::{Outcome, Wrong, failed, not_applicable};
use crate::chat::{CallError, Part, View, ViewState};
use crate::manifest::Ability;

/// A turn that streams, asks, gives a file and ends.
struct Scene {
    views: Vec<View>,
    asks: bool,
    /// The name of the file.
    file: Option<String>,
}

impl Scene {
    async fn of(reply: &mut Reply, bench: &Bench) -> Result<Self, Wrong> {
        let text = |text: &str| Part::Text(text.to_owned());
        let asks = bench.can(Ability::Buttons);
        let mut views = vec![reply.view(ViewState::Running, vec![text("The beginning")], None)];
        let mut parts = vec![text("The beginning of it.")];
        if asks {
            parts.push(ask(None).0);
            views.push(reply.view(ViewState::Asking, parts.clone(), None));
            parts.pop();
            parts.push(ask(Some("Allowed by ann")).0);
        }
        parts.push(text("The very end."));
        let mut file = None;
        if bench.can(Ability::FilesOut) {
            let name = format!("given-{}.bin", bench.serial());
            let kept = bench
                .adapter
                .files()
                .keep(&name, "application/octet-stream", b"0")
                .await;
            parts.push(Part::File(
                kept.map_err(|error| Wrong::Failed(format!("our own files: {error}")))?,
            ));
            file = Some(name);
        }
        views.push(reply.view(ViewState::Done, parts, None));
        Ok(Self { views, asks, file })
    }

    /// All of it is there, and nothing twice.
    fn stands(&self, bench: &Bench, reply: &Reply) -> Outcome {
        self.says(bench, reply)?;
        match self.given(bench) {
            None | Some(1) => Ok(()),
            Some(count) => failed(format!("the file is given {count} times")),
        }
    }

    /// Its words are there once, neither as they were first nor as they became twice, and nothing can be pressed.
    fn says(&self, bench: &Bench, reply: &Reply) -> Outcome {
        let settled = self.asks.then_some("Allowed by ann");
        let words = ["The beginning", "The beginning of it.", "The very end."];
        for words in words.into_iter().chain(settled) {
            let count = reply.count(bench, words);
            if count != 1 {
                return failed(format!("`{words}` stands there {count} times: {:?}", reply.read(bench)));
            }
        }
        if self.asks && ask(None).1.iter().any(|token| carries(bench, reply, token)) {
            return failed("a settled question can still be pressed");
        }
        Ok(())
    }

    /// How often the file is there; none: it has none.
    fn given(&self, bench: &Bench) -> Option<usize> {
        let name = self.file.as_ref()?;
        Some(bench.platform.files().iter().filter(|(there, _)| there == name).count())
    }

    /// Whoever says that it may have been done has not done it twice.
    fn once_at_most(&self, bench: &Bench, reply: &Reply) -> Outcome {
        if reply.count(bench, "The beginning") > 1 || self.given(bench) > Some(1) {
            return failed("it is repeated blindly");
        }
        Ok(())
    }
}

/// The calls that such a turn costs, counted on one that goes well.
async fn calls(bench: &Bench, place: &Place) -> Result<usize, Wrong> {
    let mut reply = bench.asked(place.clone()).await?;
    let before = bench.platform.calls();
    let scene = Scene::of(&mut reply, bench).await?;
    for view in &scene.views {
        if let Err(error) = reply.show(bench, view).await {
            return failed(format!("it is not shown where nothing goes wrong: {error}"));
        }
    }
    scene.stands(bench, &reply)?;
    Ok(bench.platform.calls() - before)
}

/// Ends what goes wrong, which must have come: else nothing was tried.
fn healed(bench: &Bench) -> Outcome {
    if bench.platform.heal() {
        Ok(())
    } else {
        failed("it makes fewer calls this time, and nothing goes wrong")
    }
}

/// Not every try may end with nobody knowing what was done.
fn some_are_clear(unclear: usize, total: usize) -> Outcome {
    if unclear == total {
        return failed(format!("whichever of its {total} calls it is: it says `ambiguous`"));
    }
    Ok(())
}

pub(super) async fn limited(bench: &Bench) -> Outcome {
    let total = calls(bench, &Place::Direct).await?;
    for nth in [1, total] {
        let mut reply = bench.asked(Place::Direct).await?;
        let scene = Scene::of(&mut reply, bench).await?;
        bench.platform.fault(nth, Fault::RateLimited(Duration::from_secs(1)));
        for view in &scene.views {
            if let Err(error) = reply.show(bench, view).await {
                return failed(format!("call {nth} of {total} was limited, and it says `{error}`"));
            }
        }
        healed(bench)
            .and_then(|()| scene.stands(bench, &reply))
            .map_err(|wrong| about(wrong, &format!("call {nth} of {total} was limited")))?;
    }
    Ok(())
}

pub(super) async fn failing(bench: &Bench) -> Outcome {
    errors(bench, Fault::Failing).await
}

pub(super) async fn failing_after(bench: &Bench) -> Outcome {
    errors(bench, Fault::FailingAfter).await
}

pub(super) async fn cut_before(bench: &Bench) -> Outcome {
    errors(bench, Fault::CutBefore).await
}

pub(super) async fn cut_after(bench: &Bench) -> Outcome {
    errors(bench, Fault::CutAfter).await
}

async fn errors(bench: &Bench, fault: Fault) -> Outcome {
    let total = calls(bench, &Place::Channel).await?;
    let mut unclears = 0;
    for nth in 1..=total {
        let what = format!("call {nth} of {total}");
        let mut reply = bench.asked(Place::Channel).await?;
        let scene = Scene::of(&mut reply, bench).await?;
        bench.platform.fault(nth, fault);
        let mut unclear = false;
        for view in &scene.views {
            match reply.show(bench, view).await {
                Ok(()) => {}
                // It was done, or not: whoever runs the bot is told, and nothing is repeated blindly. What was not
                // done looks the same to an adapter; words it can look for in the chat, a file perhaps not.
                Err(CallError::Ambiguous(_))
                    if matches!(fault, Fault::FailingAfter | Fault::CutAfter)
                        || (scene.file.is_some() && scene.says(bench, &reply).is_ok()) =>
                {
                    unclear = true;
                    break;
                }
                Err(error) => return failed(format!("{what}: it says `{error}`")),
            }
        }
        healed(bench).map_err(|wrong| about(wrong, &what))?;
        if unclear {
            unclears += 1;
            scene.once_at_most(bench, &reply).map_err(|wrong| about(wrong, &what))?;
            continue;
        }
        scene.stands(bench, &reply).map_err(|wrong| about(wrong, &what))?;
    }
    some_are_clear(unclears, total)
}

pub(super) async fn kills(bench: &Bench) -> Outcome {
    let total = calls(bench, &Place::Channel).await?;
    let mut unclears = 0;
    for nth in 1..=total {
        let what = format!("killed when call {nth} of {total} was done");
        let mut reply = bench.asked(Place::Channel).await?;
        let scene = Scene::of(&mut reply, bench).await?;
        let before = bench.platform.calls();
        bench.platform.fault(nth, Fault::Hanging);
        let mut killed = false;
        let mut unclear = false;
        for view in &scene.views {
            if !killed {
                let left = nth.saturating_sub(bench.platform.calls() - before);
                match reply.show_killed(bench, view, left.max(1)).await {
                    Ok(false) => continue,
                    Ok(true) => {
                        killed = true;
                        healed(bench).map_err(|wrong| about(wrong, &what))?;
                    }
                    Err(error) => return failed(format!("{what}: before that it says `{error}`")),
                }
            }
            // The next run has what was remembered, and nothing else.
            match reply.show(bench, view).await {
                Ok(()) => {}
                Err(CallError::Ambiguous(_)) => {
                    unclear = true;
                    break;
                }
                Err(error) => return failed(format!("{what}: then it says `{error}`")),
            }
        }
        bench.platform.heal();
        if !killed {
            return failed(format!("{what}: it never makes that call"));
        }
        if unclear {
            unclears += 1;
            scene.once_at_most(bench, &reply).map_err(|wrong| about(wrong, &what))?;
            continue;
        }
        scene.stands(bench, &reply).map_err(|wrong| about(wrong, &what))?;
    }
    some_are_clear(unclears, total)
}

pub(super) async fn revoked(bench: &Bench) -> Outcome {
    let mut reply = bench.asked(Place::Direct).await?;
    bench.platform.revoke();
    let view = reply.view(ViewState::Done, vec![Part::Text("too late".to_owned())], None);
    match reply.show(bench, &view).await {
        Err(CallError::Unauthorized(_)) => Ok(()),
        other => failed(format!("it says {other:?}")),
    }
}

pub(super) async fn removed(bench: &Bench) -> Outcome {
    let mut reply = bench.asked(Place::Channel).await?;
    let text = |text: &str| vec![Part::Text(text.to_owned())];
    reply.parts(bench, ViewState::Running, text("Half of the")).await?;
    let Some(seen) = bench.platform.seen(&reply.place).pop() else {
        return not_applicable("nothing stands there before the end");
    };
    bench.platform.remove(&reply.place, &seen.id);
    let view = reply.view(ViewState::Done, text("Half of the answer."), None);
    match reply.show(bench, &view).await {
        Ok(()) if reply.count(bench, "Half of the answer.") == 1 => Ok(()),
        Ok(()) => failed("it says that it is shown, and it is not there"),
        Err(CallError::Gone(_)) => Ok(()),
        Err(error) => failed(format!("it says `{error}`")),
    }
}

fn about(wrong: Wrong, what: &str) -> Wrong {
    match wrong {
        Wrong::Failed(why) => Wrong::Failed(format!("{what}: {why}")),
        other => other,
    }
}
