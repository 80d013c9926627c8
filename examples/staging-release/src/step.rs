//! What a step of GitHub Actions is told.

use gatekit_cli::App;
use gatekit_github::Actions;

/// The program, which tells a step of what it does: in its log, its summary and its outputs. Elsewhere
/// it is as it was.
pub fn told_in_a_step(app: App) -> App {
    let actions = Actions::from_env();
    if !actions.in_workflow() {
        return app;
    }
    let (report, failure) = (actions.clone(), actions.clone());
    app.progress_by(actions.reporter())
        .finish(move |it| report.finish(it))
        .on_error(move |why, exit| failure.fail(why, exit))
}
