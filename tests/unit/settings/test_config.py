"""killcord.yaml: what it becomes, and what is told of one that cannot be used."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway import errors
from gateway.clients.keys.tool_secret import ToolSecret
from gateway.core import limits
from gateway.core.triggers.window import Thresholds, Times
from gateway.model.run import Limits, Rate, TaskClass
from gateway.settings import check
from gateway.settings import config as settings
from gateway.settings.config import Config
from gateway.settings.network import Address
from gateway.settings.secrets import Credential
from gateway.settings.sections import AmbientRunSection, LeaseInSection

ADAPTERS = Path(__file__).parents[3] / "adapters"
ENVIRON = {"ERP_BASIC": "aHVudGVyMg==", "PAGER": "a-secret-of-the-pager-1234"}

WHOLE = """\
listen: {data: 127.0.0.1:8190, control: "[::1]:8191"}
data_dir: ./var
policy: {engine: embedded, path: ./policies, timeout: 150ms}
journal: {store: sqlite}
rates: {store: memory}
adapters: [./adapters]
tools:
  erp:
    adapter: kinto
    base_url: http://127.0.0.1:8888/v1
    credential: {header: Authorization, value: "Basic ${ERP_BASIC}"}
    timeout: 5s
    lease_in: {header: X-API-Key}
    vars: {collection: invoices}
task_classes:
  billing:
    tenants: [acme]
    scopes: ["erp:invoice.*"]
    ttl: 1h
    limits: {rate: 50/s, steps: 500, writes: 200, records: 100, tenants: 1, systems: 5, amount: {refund: 1000.5}}
    total: {writes: 1000}
tenants: {"*": {rate: 500/s}, acme: {rate: 10/s, writes: 5}}
triggers: {}
http: {body_cap: 64KiB, body_timeout: 3s, allowed_hosts: [localhost]}
shutdown_grace: 4s
anchor: {file: ./heads}
operators: {tokens_file: ./operators.yaml}
ambient_run: {tenant: acme, agent_id: billing, task_class: billing, scopes: ["erp:invoice.*"]}
"""

LEAST = """\
tools:
  erp: {adapter: kinto, base_url: "http://127.0.0.1:8888/v1", vars: {collection: invoices}}
"""


@dataclass(frozen=True)
class Place:
    """A folder with adapters and policies, as a checkout has them."""

    folder: Path

    def path(self, text: str) -> Path:
        path = self.folder / "killcord.yaml"
        path.write_text(text)
        return path

    def load(self, text: str) -> Config:
        return settings.load(self.path(text), ENVIRON)

    def problems(self, text: str) -> list[str]:
        with pytest.raises(errors.Misconfigured) as caught:
            self.load(text)
        return [problem.removeprefix(f"{self.folder}/") for problem in caught.value.problems]

    def adapter(self, old: str, new: str) -> None:
        path = self.folder / "adapters" / "kinto" / "adapter.yaml"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    shutil.copytree(ADAPTERS, tmp_path / "adapters", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    (tmp_path / "policies").mkdir()
    return Place(tmp_path)


def test_a_whole_configuration_becomes_values(place: Place) -> None:
    config = place.load(WHOLE)
    said = config.settings
    assert (said.listen.data, said.listen.control) == (Address("127.0.0.1", 8190), Address("::1", 8191))
    assert config.data_dir == place.folder / "var"
    assert (config.policy.path, config.policy.timeout) == (place.folder / "policies", 0.15)
    assert (said.http.body_cap, said.http.body_timeout, said.http.allowed_hosts) == (
        65_536,
        3.0,
        ["localhost"],
    )
    assert (said.shutdown_grace, config.anchor, config.tokens_file) == (
        4.0,
        place.folder / "heads",
        place.folder / "operators.yaml",
    )
    assert said.ambient_run == AmbientRunSection(tenant="acme", agent_id="billing", task_class="billing", scopes=["erp:invoice.*"])
    assert config.task_classes["billing"] == TaskClass(
        name="billing",
        tenants=("acme",),
        scopes=("erp:invoice.*",),
        ttl=3_600.0,
        limits=Limits(rate=Rate(50), steps=500, writes=200, records=100, tenants=1, systems=5, amount={"refund": 1_000_500_000}),
        total=Limits(writes=1_000),
    )


def sent(declared: Credential) -> tuple[bytes, bytes]:
    return ToolSecret(declared.header, declared.value, declared.file, declared.environ).header("acme")


def test_a_tool_is_its_catalog_its_place_and_its_secret(place: Place) -> None:
    erp = place.load(WHOLE).tools["erp"]
    assert (erp.section.base_url.host, erp.section.base_url.port, erp.section.base_url.base) == ("127.0.0.1", 8888, "/v1")
    assert erp.credential is not None
    assert sent(erp.credential) == (b"Authorization", b"Basic aHVudGVyMg==")
    assert (erp.section.timeout, erp.section.lease_in, erp.section.connections) == (5.0, LeaseInSection(header="X-API-Key"), 64)
    assert erp.catalog.name == "erp"
    assert "invoice.status.update" in erp.catalog.actions


@pytest.mark.parametrize("form", ["{header: X-Key, file: ./secret}", "{header: X-Key, value: {file: ./secret}}"])
def test_a_secret_s_file_is_found_beside_the_configuration(place: Place, form: str) -> None:
    (place.folder / "secret").write_text("hunter2\n")
    erp = place.load(WHOLE.replace('{header: Authorization, value: "Basic ${ERP_BASIC}"}', form)).tools["erp"]
    assert erp.credential is not None
    assert sent(erp.credential) == (b"X-Key", b"hunter2")


def test_a_configuration_never_shows_a_secret(place: Place) -> None:
    assert ENVIRON["ERP_BASIC"] not in repr(place.load(WHOLE))


def test_what_was_written_into_the_file_is_not_shown_either(place: Place) -> None:
    tool = LEAST.replace("}}", "}, credential: {header: X-Key, value: k-1234}}")
    hook = 'webhooks: {pager: {url: "https://hooks.example.com/services/path-5678", secret: "${PAGER}"}}\n'
    shown = repr(place.load(tool + hook))
    assert [secret for secret in ("k-1234", "path-5678", ENVIRON["PAGER"]) if secret in shown] == []


def test_a_threshold_that_is_said_takes_the_place_of_its_default(place: Place) -> None:
    config = place.load(WHOLE.replace("triggers: {}", "triggers: {anomaly.loop: {count: 3}, uncertain.identity: off}"))
    assert config.triggers == Thresholds(loop=Times(3, 300.0), off=frozenset({"uncertain.identity"}))


def test_little_is_needed_and_the_rest_has_defaults(place: Place) -> None:
    config = place.load(LEAST)
    assert config.triggers == Thresholds()
    assert (str(config.settings.listen.data), str(config.settings.listen.control)) == ("127.0.0.1:8090", "127.0.0.1:8091")
    assert config.task_classes == {}
    assert config.settings.http.body_cap == 1_048_576
    assert limits.of_tenant(config.tenants, "acme") is None


def test_a_tenant_s_own_limits_stand_in_place_of_every_one_s(place: Place) -> None:
    config = place.load(WHOLE)
    assert limits.of_tenant(config.tenants, "acme") == Limits(rate=Rate(10), writes=5)
    assert limits.of_tenant(config.tenants, "beta") == Limits(rate=Rate(500))


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("data_dir:", "data_dirr:", "killcord.yaml:2: data_dirr: unknown key; did you mean data_dir?"),
        (
            "timeout: 5s",
            "timeout: soon",
            "killcord.yaml:12: tools.erp.timeout: 'soon' is not a duration; write 200ms, 10s, 15m, 8h, 7d or a number",
        ),
        (
            "adapter: kinto",
            "adapter: kino",
            "killcord.yaml:9: tools.erp.adapter: no adapter 'kino' in ./adapters; known: crm, kinto, mail, rest, warehouse",
        ),
        ("adapter: kinto\n", "adaptor: kinto\n", "killcord.yaml:8: tools.erp.adapter: is missing: the name of a folder of adapters"),
        (
            "steps: 500",
            'steps: "yes"',
            "killcord.yaml:20: task_classes.billing.limits.steps: 'yes' is not a count; write a whole number, 0 or more",
        ),
        ("rate: 50/s", "rate: 50", "killcord.yaml:20: task_classes.billing.limits.rate: 50 is not a rate; write 50/s, 10/m or 100/h"),
        ("engine: embedded", "engine: opa", "killcord.yaml:3: policy: engine opa needs url: http://127.0.0.1:8181 or unix:///run/opa.sock"),
        ("engine: embedded", 'engine: opa, url: "opa:8181"', "killcord.yaml:3: policy.url: not a base URL; write http://host:port/path"),
        ("engine: embedded", 'engine: opa, url: "http://a:b@opa"', "killcord.yaml:3: policy.url: contains a user or password"),
        (
            "engine: embedded",
            'engine: embedded, url: "http://127.0.0.1:8181"',
            "killcord.yaml:3: policy.url: is the URL of a real OPA; add engine: opa, or remove url",
        ),
        (
            "engine: embedded",
            "engine: embeded",
            "killcord.yaml:3: policy.engine: 'embeded' is not one of embedded or opa; did you mean embedded?",
        ),
        ("path: ./policies", "path: ./polices", "killcord.yaml:3: policy.path: there is no folder"),
        ("store: sqlite", "store: postgres", "killcord.yaml:4: journal.store: store postgres is not implemented yet; use sqlite"),
        (
            "store: memory",
            "store: redis",
            "killcord.yaml:5: rates.url: is missing; store: redis needs it, such as redis://127.0.0.1:6379/0",
        ),
        (
            "timeout: 5s",
            "mode: shadow",
            "killcord.yaml:12: tools.erp.mode: shadow needs until: YYYY-MM-DD, the first day on which policy is enforced",
        ),
        ("timeout: 5s", "until: 2027-01-01", "killcord.yaml:12: tools.erp.until: belongs to mode: shadow; add that, or remove until"),
        ("${ERP_BASIC}", "${ERP_BASE}", "killcord.yaml:11: tools.erp.credential.value: the environment variable ERP_BASE is not set"),
        ("http://127.0.0.1:8888/v1", "127.0.0.1:8888", "killcord.yaml:10: tools.erp.base_url: not a base URL; write http://host:port/path"),
        ("{header: X-API-Key}", "{}", "killcord.yaml:13: tools.erp.lease_in: needs exactly one of header (its name) and basic: password"),
        ("{collection: invoices}", "{}", "adapters/kinto/adapter.yaml:8: objects.invoice.path: vars.collection is missing; add it"),
        ("data: 127.0.0.1:8190", "data: 0.0.0.0:8190", "killcord.yaml:28: ambient_run: needs listen.data on loopback, not 0.0.0.0:8190"),
        (
            "task_class: billing",
            "task_class: biling",
            "killcord.yaml:28: ambient_run.task_class: there is no biling under task_classes; did you mean",
        ),
        (
            'agent_id: billing, task_class: billing, scopes: ["erp:invoice.*"]',
            "agent_id: billing, task_class: billing, scopes: [invoice]",
            "killcord.yaml:28: ambient_run.scopes[0]: 'invoice' is not a scope; write <tool>:<action pattern>",
        ),
        (
            'agent_id: billing, task_class: billing, scopes: ["erp:invoice.*"]',
            'agent_id: billing, task_class: billing, scopes: ["erp:*"]',
            "killcord.yaml:28: ambient_run.scopes[0]: erp:* is wider than the scopes of task class billing: erp:invoice.*",
        ),
        ("{tenant: acme,", "{tenant: beta,", "killcord.yaml:28: ambient_run.tenant: beta is not one of the tenants of task class billing"),
        (
            'control: "[::1]:8191"',
            "control: 127.0.0.1:8190",
            "killcord.yaml:1: listen.control: 127.0.0.1:8190 is also listen.data",
        ),
        (
            "http://127.0.0.1:8888/v1",
            "http://169.254.169.254",
            "killcord.yaml:10: tools.erp.base_url: 169.254.169.254 is a forbidden address",
        ),
        (
            "http://127.0.0.1:8888/v1",
            "http://[::ffff:169.254.169.254]",
            "killcord.yaml:10: tools.erp.base_url: ::ffff:169.254.169.254 is a forbidden address",
        ),
        (
            "{header: X-API-Key}",
            "{header: Content-Length}",
            "killcord.yaml:13: tools.erp.lease_in.header: Content-Length cannot carry a lease",
        ),
        (
            "{header: X-API-Key}",
            "{header: Killcord-Step}",
            "killcord.yaml:13: tools.erp.lease_in.header: Killcord-Step cannot carry a lease",
        ),
        (
            "[localhost]",
            '[localhost, "*"]',
            "killcord.yaml:24: http.allowed_hosts[1]: '*' is not a host; write a host",
        ),
        ("[localhost]", '["localhost:8090"]', "killcord.yaml:24: http.allowed_hosts[0]: 'localhost:8090' is not a host"),
        (
            '["erp:invoice.*"]',
            "[invoice]",
            "killcord.yaml:18: task_classes.billing.scopes[0]: 'invoice' is not a scope; write <tool>:<action pattern>",
        ),
        ("allowed_hosts: [localhost]", "allowed_hosts: localhost", "killcord.yaml:24: http.allowed_hosts: must be a list, not 'localhost'"),
        ("triggers: {}", "triggers: []", "killcord.yaml:23: triggers: must be a mapping, not a list"),
        (
            "triggers: {}",
            "triggers: {anomaly.loop: {count: 0}}",
            "killcord.yaml:23: triggers.anomaly.loop.count: 0 is not a number",
        ),
        ("tenants: [acme]", "tenants: [5]", "killcord.yaml:17: task_classes.billing.tenants[0]: must be text, not 5 (quote it)"),
    ],
)
def test_a_problem_is_one_line_with_file_line_and_what_would_be_right(place: Place, old: str, new: str, problem: str) -> None:
    assert old in WHOLE
    found = place.problems(WHOLE.replace(old, new, 1))
    assert any(line.startswith(problem) for line in found), found


def test_every_problem_is_reported_at_once(place: Place) -> None:
    text = WHOLE.replace("data_dir:", "data_dirr:").replace("5s", "soon").replace("sqlite", "postgres").replace("50/s", "50")
    assert len(place.problems(text)) == 4


def test_a_secret_in_the_wrong_place_is_not_repeated(place: Place) -> None:
    found = place.problems(WHOLE.replace('"Basic ${ERP_BASIC}"', "[hunter2]").replace("http://127", "http://u:hunter2@127"))
    assert len(found) == 2
    assert "hunter2" not in "".join(found)


def test_an_empty_file_and_a_missing_one_are_problems(place: Place) -> None:
    assert "must be a mapping" in place.problems("")[0]
    with pytest.raises(errors.Misconfigured, match="cannot be read"):
        settings.load(place.folder / "none.yaml", ENVIRON)


def test_a_data_dir_that_others_can_enter_is_a_problem(place: Place) -> None:
    (place.folder / "var").mkdir()
    (place.folder / "var").chmod(0o755)
    assert "run: chmod 700" in place.problems(WHOLE)[0]
    (place.folder / "var").chmod(0o700)
    assert place.load(WHOLE)


@pytest.mark.parametrize(
    ("url", "scheme", "socket", "base"),
    [
        ("http://127.0.0.1:8181", "http", "", ""),
        ("https://opa.internal/policies/", "https", "", "/policies"),
        ("unix:///run/opa.sock", "unix", "/run/opa.sock", ""),
    ],
)
def test_a_real_opa_needs_no_folder_of_policies(place: Place, url: str, scheme: str, socket: str, base: str) -> None:
    chosen = place.load(LEAST + f'policy: {{engine: opa, url: "{url}", path: ./nowhere, timeout: 50ms}}\n').policy
    assert chosen.opa is not None
    assert (chosen.opa.scheme, chosen.opa.socket, chosen.opa.base, chosen.timeout) == (scheme, socket, base, 0.05)


@pytest.mark.parametrize(("host", "warned"), [("127.0.0.1", False), ("[::1]", False), ("opa.internal", True)])
def test_a_check_warns_of_decisions_that_cross_a_network_in_plain_text(place: Place, host: str, warned: bool) -> None:
    warnings = check.check(place.path(LEAST + f'policy: {{engine: opa, url: "http://{host}:8181"}}\n'), ENVIRON).warnings
    assert any("policy.url: plain http to opa.internal" in line for line in warnings) is warned


def test_a_webhook_that_cannot_be_reported_is_a_problem_at_its_line_and_one_in_plain_text_a_warning(place: Place) -> None:
    hook = LEAST + 'webhooks:\n  ops:\n    url: "http://hooks.internal/in"\n    secret: SECRET\n'
    (problem,) = place.problems(hook)
    assert "webhooks.ops.secret: is missing" in problem
    (place.folder / "hook").write_text("a secret of more than 24 characters")
    warnings = check.check(place.path(hook.replace("SECRET", "{file: ./hook}")), ENVIRON).warnings
    assert any("webhooks.ops: plain http to hooks.internal" in line for line in warnings)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("headers: {X-Api-Key: abc}", "headers.X-Api-Key: X-Api-Key looks like a secret"),
        ("query: {access_token: abc}", "query.access_token: access_token looks like a secret"),
        ("headers: {X-Account: '${ACCOUNT}'}", "headers.X-Account: is sent as it stands, without variables"),
        ("headers: {Stripe-Version: 2024-06-20}", "headers.Stripe-Version: must be text, not 2024-06-20 (quote it)"),
        ("headers: {Authorization: abc}", "Authorization is set by the gateway itself"),
        ("headers: {Host: abc}", "Host is set by the gateway itself"),
        ("headers: {X-A: a, x-a: b}", "names a header twice"),
        ('headers: {X-A: "a\\r\\nX-B: c"}', "cannot be sent"),
        ("query: {'a b': c}", "'a b' is not a query key"),
        ("headers: {X-A: 1}", "must be text, not 1"),
    ],
)
def test_what_no_fixed_header_or_query_may_be_is_a_problem(place: Place, line: str, said: str) -> None:
    problems = place.problems(WHOLE.replace("    timeout: 5s\n", f"    timeout: 5s\n    {line}\n"))
    assert any(said in one for one in problems), problems


def test_a_query_in_a_base_url_is_referred_to_query(place: Place) -> None:
    problems = place.problems(WHOLE.replace("http://127.0.0.1:8888/v1", "http://127.0.0.1:8888/v1?api-version=1"))
    assert any("write a fixed query key under the tool's query:" in one for one in problems), problems


def test_two_tools_can_share_an_adapter_with_variables_of_their_own(place: Place) -> None:
    text = LEAST + '  crm: {adapter: kinto, base_url: "http://127.0.0.1:8888/v1", vars: {collection: people}}\n'
    tools = place.load(text).tools
    assert tools["erp"].catalog.objects["invoice"].template.fill({"tenant": "a", "id": "1"}) == "/buckets/a/collections/invoices/records/1"
    assert tools["crm"].catalog.objects["invoice"].template.fill({"tenant": "a", "id": "1"}) == "/buckets/a/collections/people/records/1"


def test_a_problem_of_a_shared_adapter_is_reported_once(place: Place) -> None:
    place.adapter("effect: read", "effect: reed")
    text = LEAST + '  crm: {adapter: kinto, base_url: "http://127.0.0.1:8888/v1", vars: {collection: people}}\n'
    assert place.problems(text) == [
        "adapters/kinto/adapter.yaml:23: actions[0].effect: 'reed' is not one of read or write; did you mean read?"
    ]


def test_a_check_sums_up_what_a_configuration_opens(place: Place) -> None:
    (warning,) = check.check(place.path(WHOLE), ENVIRON).warnings
    assert warning.startswith(f"killcord.yaml: operators: there is no {place.folder / 'operators.yaml'} yet; run: killcord operators add")
    (place.folder / "operators.yaml").write_text("[]")
    report = check.check(place.path(WHOLE), ENVIRON)
    assert report.problems == ()
    assert report.warnings == ()
    (erp,) = report.tools
    assert (erp.name, erp.base_url, erp.reads, erp.writes, erp.by_hand) == ("erp", "http://127.0.0.1:8888/v1", 4, 7, ("refund.delete",))


def test_a_check_warns_of_what_works_but_may_not_be_meant(place: Place) -> None:
    text = LEAST.replace("127.0.0.1", "erp.internal").replace("vars:", 'credential: {header: X-Key, value: "hunter2"}, vars:')
    text += 'task_classes: {default: {scopes: ["epr:*"], limits: {amount: {refnd: 5}}}}\n'
    warnings = check.check(place.path(text), ENVIRON).warnings
    assert [line.removeprefix("killcord.yaml: ").split(":")[0] for line in warnings] == [
        "no operators",
        "no anchor",
        "task_classes.default",
        "task_classes.default",
        "tools.erp",
        "tools.erp.credential",
    ]
    assert "hunter2" not in "".join(warnings)


def test_a_check_warns_of_automatic_restores_that_no_version_guards(place: Place) -> None:
    path = "    path: /buckets/{tenant}/collections/refunds/records/{id}\n    version: reply.headers.etag\n"
    place.adapter(path, path.partition("    version")[0])
    place.adapter(
        "    effect: write\n    class: irreversible                           #", "    effect: write\n    class: irreversible\n    #"
    )
    place.adapter(
        '    guard: if_match\n    cost: {records: "`1`"}\n    compensation: {type: manual_review}',
        "    compensation: {type: manual_review}",
    )
    place.adapter("    # Kinto honours no idempotency key.", "    # Kinto")
    warnings = [one for one in check.check(place.path(LEAST), ENVIRON).warnings if "digest_of" in one]
    assert warnings == [
        "killcord.yaml: tools.erp: refund.create has delete_created with auto: true, but its object has no version: every rollback of it "
        "is a task; if the tool gives none, declare version: {digest_of: state}"
    ]


def test_a_check_warns_of_a_listing_that_never_shows_absence(place: Place) -> None:
    assert not [one for one in check.check(place.path(LEAST), ENVIRON).warnings if "whole" in one]
    place.adapter("        whole: \"type(reply.body.data) == 'array' && !contains(keys(reply.headers), 'next-page')\"\n", "")
    assert [one for one in check.check(place.path(LEAST), ENVIRON).warnings if "whole" in one] == [
        "killcord.yaml: tools.erp: refund.create has probe.find without whole: a person decides about a create that its listing does not "
        "show"
    ]


def test_a_check_warns_of_a_guard_by_a_version_of_the_body(place: Place) -> None:
    place.adapter("    version: reply.headers.etag ", "    version: reply.body.data.last_modified ")
    warnings = [one for one in check.check(place.path(LEAST), ENVIRON).warnings if "set guard: compare" in one]
    named = ["invoice.status.update", "invoice.update", "invoice.replace", "invoice.delete"]
    assert [one.split()[2] for one in warnings] == named


def test_a_check_tells_problems_and_does_not_raise(place: Place) -> None:
    assert check.check(place.path("tools: 5"), ENVIRON).problems != ()
    (place.folder / "operators.yaml").write_text("- {name: ann, role: king, hash: x}\n")
    place.adapter("effect: read", "effect: reed")
    problems = check.check(place.path(WHOLE), ENVIRON, extra=lambda config: [f"{config.settings.listen.data.port}: closed"]).problems
    for told in ("'reed' is not one of read or write", "'king' is not one of viewer, operator", "8190: closed"):
        assert any(told in line for line in problems), told
