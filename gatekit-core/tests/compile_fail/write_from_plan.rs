use gatekit_core::{PlanContext, Result};

async fn plan(cx: &PlanContext) -> Result<()> {
    let _permit = cx.permit("delete everything").await?;
    Ok(())
}

fn main() {
    let _ = plan;
}
