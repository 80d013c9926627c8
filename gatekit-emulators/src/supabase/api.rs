//! What the API answers.

use hyper::body::Bytes;
use serde_json::{Map, Value, json};

use super::call::SupabaseCall;
use super::project::{Function, Project, sha256};

/// An answer, before it is HTTP.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) kind: &'static str,
    pub(super) body: Bytes,
}

impl Reply {
    pub(super) fn json(status: u16, body: &Value) -> Self {
        Self { status, kind: "application/json", body: Bytes::from(body.to_string()) }
    }

    /// A refusal, as the API tells it.
    pub(super) fn refusal(status: u16, message: &str) -> Self {
        Self::json(status, &json!({ "message": message }))
    }
}

impl Project {
    pub(super) fn answer(&mut self, call: &SupabaseCall, body: &Bytes) -> Reply {
        let answered = match call.operation {
            "ListFunctions" => {
                let all = self.functions.values().map(|it| Value::Object(it.told.clone()));
                Ok(Reply::json(200, &all.collect()))
            }
            "GetFunction" => self.found(call).map(|it| Reply::json(200, &json!(it.told))),
            "GetFunctionBody" => self.body_of(call),
            "BundleFunction" | "DeployFunction" => self.deployed(call),
            "BulkUpdateFunctions" => self.switched(call),
            "UpdateFunction" => self.updated(call, body),
            "DeleteFunction" => {
                let removed = self.remove(call.slug());
                if removed { Ok(Reply::json(200, &json!({}))) } else { Err(missing()) }
            }
            "ListSecrets" => Ok(Reply::json(200, &self.secrets())),
            _ => Err(Reply::refusal(404, "Cannot find that route")),
        };
        answered.unwrap_or_else(|refusal| refusal)
    }

    fn found(&self, call: &SupabaseCall) -> Result<&Function, Reply> {
        self.functions.get(call.slug()).ok_or_else(missing)
    }

    fn body_of(&self, call: &SupabaseCall) -> Result<Reply, Reply> {
        let mut body = self.found(call)?.body.clone();
        if self.garbles_bodies {
            body.push(0);
        }
        Ok(Reply { status: 200, kind: "application/vnd.denoland.eszip", body: Bytes::from(body) })
    }

    fn is_full(&self, slug: &str) -> bool {
        let has_room = self.limit.is_none_or(|most| self.functions.len() < most);
        !has_room && !self.functions.contains_key(slug)
    }

    fn deployed(&mut self, call: &SupabaseCall) -> Result<Reply, Reply> {
        let metadata = call.metadata();
        let refused = |what: &str| Err(Reply::refusal(400, what));
        let (Some(slug), Some(asked)) = (call.query("slug"), metadata.as_object()) else {
            return refused("slug and metadata are required");
        };
        let entrypoint = asked.get("entrypoint_path").and_then(Value::as_str).unwrap_or_default();
        let files = call.parts.iter().filter(|it| it.name == "file");
        let named = files.map(|it| (it.file.as_deref().unwrap_or_default(), &*it.content));
        let files: Vec<_> = named.collect();
        if !files.iter().any(|(name, _)| *name == entrypoint) {
            return refused("Entrypoint path does not exist");
        }
        if self.is_full(slug) {
            return Err(Reply::refusal(402, "Maximum number of functions reached for Plan"));
        }
        let how = format!(
            "{entrypoint} {:?} {:?}",
            asked.get("import_map_path"),
            asked.get("static_patterns")
        );
        let body = self.bundled(&files, &how);
        let told = if call.operation == "BundleFunction" {
            let told = self.telling(slug, &body, asked);
            self.give_out(slug, body);
            told
        } else if self.is_stranded(slug) {
            return Err(conflict());
        } else {
            self.put_artefact(slug, body, asked.clone())
        };
        Ok(Reply::json(201, &Value::Object(told)))
    }

    /// All of them at once, or none.
    fn switched(&mut self, call: &SupabaseCall) -> Result<Reply, Reply> {
        let items = call.json.as_array().ok_or_else(|| Reply::refusal(400, "no list"))?;
        let (mut next, mut is_effect) = (Vec::new(), false);
        for item in items {
            let field = |name: &str| item.get(name).and_then(Value::as_str).unwrap_or_default();
            let slug = field("slug");
            let asked = item.as_object().cloned().unwrap_or_default();
            let lacks = ["id", "slug", "name", "status", "version"]
                .iter()
                .any(|it| !asked.contains_key(*it));
            if lacks {
                return Err(Reply::refusal(400, "a field is missing"));
            }
            if self.is_full(slug) {
                return Err(Reply::refusal(402, "Maximum number of functions reached for Plan"));
            }
            let now = self.functions.get(slug);
            let same = |key: &str| now.is_some_and(|it| it.told.get(key) == asked.get(key));
            if same("version") && same("ezbr_sha256") && same("verify_jwt") {
                continue;
            }
            if self.is_stale(slug, asked.get("version").and_then(Value::as_i64).unwrap_or_default())
            {
                return Err(conflict());
            }
            let Some(body) = self.bundles.get(field("ezbr_sha256")).cloned() else {
                return Err(Reply::refusal(400, "there is no such bundle"));
            };
            is_effect |= !(same("ezbr_sha256") && same("verify_jwt"));
            let mut told = self.telling(slug, &body, &asked);
            told.insert("version".to_owned(), asked.get("version").cloned().unwrap_or_default());
            next.push((slug.to_owned(), Function { told, body }));
        }
        if is_effect {
            self.one_effect();
        }
        next.into_iter().for_each(|(slug, function)| self.set(&slug, function));
        let slugs = items.iter().filter_map(|it| it.get("slug")?.as_str());
        let told: Vec<_> = slugs.filter_map(|it| self.told(it)).collect();
        Ok(Reply::json(200, &json!({ "functions": told })))
    }

    fn updated(&mut self, call: &SupabaseCall, body: &Bytes) -> Result<Reply, Reply> {
        self.found(call)?;
        if call.kind != "application/vnd.denoland.eszip" {
            return Err(Reply::refusal(400, "only artefacts are taken here"));
        }
        if call.query("ezbr_sha256").is_some_and(|it| it != sha256(body)) {
            return Err(Reply::refusal(400, "the checksum is of something else"));
        }
        if self.is_stranded(call.slug()) {
            return Err(conflict());
        }
        let mut asked = Map::new();
        for (name, value) in &call.query {
            let value = match (&**name, &**value) {
                ("verify_jwt" | "import_map", flag) => json!(flag == "true"),
                (_, text) => json!(text),
            };
            asked.insert(name.clone(), value);
        }
        let told = self.put_artefact(call.slug(), body.to_vec(), asked);
        Ok(Reply::json(200, &Value::Object(told)))
    }
}

fn conflict() -> Reply {
    Reply::refusal(409, "deployment already exists")
}

fn missing() -> Reply {
    Reply::refusal(404, "Function not found")
}
