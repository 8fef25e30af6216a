"""The dashboard, in a headless Chromium inside ikelb's own namespace."""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import messages
from browser import Browser, Page
from peers import FakeServers, client_ports, fake_service, handshake
from support import MAX_CLIENTS, equal, lab, start, stop, wait_for
from variants import long
from vpnlab.balancer import service
from vpnlab.bench import Bench
from vpnlab.topology import VIP, client_address

URL = "http://127.0.0.1:8809/"
TOKEN = "0123456789abcdef0123456789abcdef"
CONTRAST = 4.5  # WCAG 2.1, success criterion 1.4.3

# Every element that shows text of its own, with the contrast to what is behind it. Text behind a dialog, and what only
# screen readers get, is left out.
LOW_CONTRAST = """(() => {
  const canvas = new OffscreenCanvas(1, 1).getContext('2d', {willReadFrequently: true});
  const rgba = (color) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data]; };
  const light = ([r, g, b]) => { const [x, y, z] = [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)); return 0.2126 * x + 0.7152 * y + 0.0722 * z; };
  const behind = (e) => { for (; e; e = e.parentElement) { const c = rgba(getComputedStyle(e).backgroundColor);
    if (c[3] === 255) return c; } return [255, 255, 255, 255]; };
  const found = [];
  let checked = 0;
  for (const e of document.querySelectorAll('body *')) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    const field = e.matches('input[type=text], input[type=search]');
    if ((!own && !field) || e.closest('.unseen, .skip, script, style, template, noscript') || !e.checkVisibility()) continue;
    const [a, b] = [light(rgba(getComputedStyle(e).color)), light(behind(e))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    checked++;
    if (contrast < LIMIT) found.push(`${e.tagName}.${e.className} "${e.innerText.slice(0, 30)}": ${contrast.toFixed(2)}`);
  }
  return {found, checked};
})()""".replace("LIMIT", str(CONTRAST))

# What stands out of the window to the right.
TOO_WIDE = """[...document.querySelectorAll('body *')].filter((e) => e.checkVisibility() && !e.closest('.unseen, .skip, thead')
  && e.getBoundingClientRect().right > innerWidth + 0.5).map((e) => `${e.tagName}.${e.className}`)"""

ROW = "(name => [...document.querySelectorAll('tr.backend')].find(r => r.querySelector('.name').textContent === name))"


@contextmanager
def browsing(bench: Bench) -> Iterator[Browser]:
    with Browser(bench.workspace, bench.topology.lb, bench.log_dir / "chromium.log") as browser:
        yield browser


def state_of(page: Page, backend: str) -> str:
    """What the page says of a server."""
    return str(page.evaluate(f"{ROW}({json.dumps(backend)})?.querySelector('.state').innerText.trim() ?? ''"))


def wait_state(page: Page, backend: str, words: str) -> None:
    wait_for(lambda: words in state_of(page, backend), f"'{words}' as the state of {backend}", 15.0)


def funnel_numbers(page: Page) -> list[int]:
    """The steps of the first service."""
    shown = page.evaluate("[...document.querySelectorAll('.service .funnel-place li b')].slice(0, 5).map(b => b.textContent)")
    return [int(text.replace(",", "")) for text in shown]


def check_clean(page: Page, origin: str = URL) -> None:
    """No error in the console, and nothing was asked of anybody else."""
    equal(page.complaints(), [], "complaints in the console")
    strangers = {url for url in page.requests() if not url.startswith((origin, "data:", "about:"))}
    equal(strangers, set(), "requests to others")


def check_headers(page: Page) -> None:
    """The policy lets the page load nothing, and names its own style and script by their hashes."""
    document = next(event["response"] for event in page.events("Network.responseReceived") if event["type"] == "Document")
    headers = {name.lower(): value for name, value in document["headers"].items()}
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; ") and "unsafe" not in policy and "http" not in policy, policy
    text = page.evaluate(f"fetch('{URL}').then(r => r.text())")
    for kind in ("style", "script"):
        contents = re.findall(rf"<{kind}>(.*?)</{kind}>", text, re.DOTALL)
        equal(len(contents), 1, f"<{kind}> in the page")
        digest = base64.b64encode(hashlib.sha256(contents[0].encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy, f"{kind}: {policy}"
    equal((headers["x-content-type-options"], headers["referrer-policy"], headers["cache-control"]),
          ("nosniff", "no-referrer", "no-store"), "headers")


def check_colours(page: Page) -> None:
    """All text can be read, in both schemes."""
    for scheme in ("light", "dark"):
        page.prefer(scheme)
        seen = page.evaluate(LOW_CONTRAST)
        assert seen["checked"] > 40, f"only {seen['checked']} texts were looked at"
        equal(seen["found"], [], f"low contrast, {scheme}")


def check_phone(page: Page) -> None:
    """On a phone nothing has to be moved sideways."""
    page.resize(360, 740, mobile=True)
    equal((page.evaluate("document.documentElement.scrollWidth"), page.evaluate(TOO_WIDE)), (360, []), "too wide")
    page.resize(1280, 900)


def check_removed(bench: Bench, page: Page) -> None:
    """A server that a reload takes out of the file stays in sight with the clients that it has left."""
    rest = fake_service(bench, "transparent", name="aovpn")
    rest["backends"] = rest["backends"][:1]
    bench.balancer.configure({"services": [rest], "dataplane": {"max_clients": MAX_CLIENTS}})
    bench.balancer.reload()

    def told() -> bool:
        left = bench.balancer.backend("s2")["clients"]
        return f"removed, {left} client{'s' if left > 1 else ''} left" in state_of(page, "s2")

    wait_for(told, "a server that is removed, and how many clients it has left", 15.0)


def test_dashboard() -> None:
    """Services, health, the funnel and its finding, a client explained by a link; the daemon goes and comes back."""
    with lab(clients=12, servers=2) as bench:
        balancer = start(bench, [fake_service(bench, "transparent", name="aovpn")], ready=False)
        servers, clients = FakeServers(bench), client_ports(bench)
        for number in range(1, 5):
            handshake(clients, servers, client_address(number), VIP[4])
        for number in range(5, 12):
            spi = messages.spi()
            clients[500].send(messages.init(spi), (VIP[4], 500), source=client_address(number))
            server, got = servers.receive(500)
            servers.port(server, 500).reply(got, messages.init_answer(spi, messages.spi()))
            clients[500].receive()
        with browsing(bench) as browser:
            page = browser.page()
            page.open(f"{URL}#client={client_address(5)}")
            print(f"first paint after {page.first_paint_ms():.0f} ms")
            page.wait_text(".service h3", "aovpn")
            wait_state(page, "s1", "unknown")
            check_headers(page)

            sums = [sum(backend["handshakes"][step] for backend in balancer.status()["services"][0]["backends"])
                    for step in ("init_sent", "init_answered", "auth_sent", "auth_answered", "established")]
            equal(sums, [11, 11, 4, 4, 0], "what ikelb has counted")
            equal(funnel_numbers(page), sums, "the funnel")
            page.wait_text(".finding", "7 of 11 handshakes were answered, but IKE_AUTH never came")
            equal(page.evaluate("document.querySelector('.funnel li[data-tone=bad] .lost').textContent"), "−7 lost here",
                  "the step at which clients get lost")
            page.click(".more")
            equal(page.evaluate("document.querySelectorAll('.details li b').length"), 5, "steps of one server")

            page.wait_text("#explain-answer", "answered-no-auth")
            said = balancer.explain(client_address(5))
            shown = page.text("#explain-answer")
            for sentence in [said["summary"], *said["advice"]]:
                assert sentence in shown, f"not shown: {sentence}"
            page.evaluate("location.hash = 'client=192.0.2.77'")
            page.wait_text("#explain-answer", "nothing-seen")
            page.evaluate("history.back()")
            page.wait_text("#explain-answer", "answered-no-auth")
            for address, words in (("198.51.100.999", "is no IPv4 or IPv6 address"), ("2001:db8::1", "nothing-seen"),
                                   ("<img src=x onerror=alert(1)>", "is no IPv4 or IPv6 address")):
                page.evaluate(f"document.getElementById('explain-address').value = {json.dumps(address)}")
                page.click("#explain-form button")
                page.wait_text("#explain", words)

            check_colours(page)
            check_phone(page)
            check_clean(page)
            check_removed(bench, page)

            stop(bench)
            page.wait_text("#lost", "does not answer")
            check_colours(page)
            balancer.restart()
            page.wait("document.getElementById('lost').hidden", "an answer again")
            page.wait("document.getElementById('news').textContent.includes('started anew')", "word of the restart")
            page.click("#span-start")
            wait_for(lambda: funnel_numbers(page) == [0] * 5, "a funnel since the new start")
            page.click("#span-window")
            equal(funnel_numbers(page), [0] * 5, "handshakes since the page is open")  # All were before that.
            check_clean(page)


def test_dashboard_changes() -> None:
    """Without a token there are no buttons; a wrong one is named as such; cancelling changes nothing; draining does,
    by keyboard alone; and a change of health shows."""
    with lab(clients=2, servers=2) as bench:
        token = bench.workspace.directory / "token"
        token.write_text(TOKEN)
        token.chmod(0o600)
        bench.start_servers()
        balancer = start(bench, [service(bench.topology, "transparent", name="aovpn")],
                         admin={"listen": "127.0.0.1:8809", "token_file": str(token)})
        with browsing(bench) as browser:
            page = browser.page()
            page.open(URL)
            wait_state(page, "s1", "up")
            bench.stop_servers([2])
            wait_state(page, "s2", "down")
            equal(page.evaluate("document.querySelectorAll('td.change button').length"), 0, "buttons without a token")

            give_token(page, "wrong")
            page.click("td.change button")
            page.wait_text("#change-dialog h2", "Drain s1 of aovpn?")
            page.click("#change-confirm")
            page.wait_text("#token-error", "ikelb refused the token")
            check_colours(page)
            equal(page.evaluate("document.querySelectorAll('td.change button').length"), 0, "buttons after a wrong token")
            equal(balancer.backend("s1")["state"], "enabled", "after a wrong token")
            page.press("Escape")

            give_token(page, TOKEN)
            page.click("td.change button")
            page.wait_text("#change-text", "It has no clients.")
            equal(focused(page), "change-cancel", "where the keyboard is in the question")
            page.press("Enter")
            page.wait("!document.getElementById('change-dialog').open", "the question gone")
            page.click("td.change button")
            page.press("Escape")
            page.wait("!document.getElementById('change-dialog').open", "the question gone")
            equal(balancer.backend("s1")["state"], "enabled", "after cancelling")

            page.evaluate("document.getElementById('filter-trouble').focus()")
            while page.evaluate("document.activeElement.getAttribute('aria-label')") != "Drain s1 of aovpn":
                page.press("Tab")
            page.press("Enter")
            page.press("Tab")
            equal(focused(page), "change-confirm", "behind the cancel button")
            page.press("Enter")
            wait_state(page, "s1", "drained")
            equal(balancer.backend("s1")["state"], "drain", "after draining")
            equal(page.evaluate("document.activeElement.getAttribute('aria-label')"), "Enable s1 of aovpn", "the keyboard")

            page.click("tr.backend + tr.backend td.change button")
            page.wait_text("#change-warning", "No other server of aovpn takes new clients")
            check_colours(page)
            page.press("Escape")
            page.press("Escape")
            page.evaluate("location.reload()")
            page.wait("document.getElementById('token-open')?.hidden === false && !!document.querySelector('tr.backend')", "a page that has forgotten the token")
            equal(page.evaluate("sessionStorage.length"), 0, "what is kept without being asked to")
            check_clean(page)


def give_token(page: Page, token: str) -> None:
    if not page.evaluate("document.getElementById('token-dialog').open"):
        page.click("#token-open")
    equal(focused(page), "token", "where the keyboard is")
    page.type(token)
    page.press("Enter")
    page.wait("!!document.querySelector('td.change button')", "buttons")


def focused(page: Page) -> str:
    return str(page.evaluate("document.activeElement.id"))


MARKUP = "<img src=x onerror=alert(1)><script>alert(2)</script>"
MANY = 1000

# Answers in place of ikelb's, by path, as soon as the page has a `made`.
STAND_IN = """const ask = window.fetch;
window.fetch = (path, how) => window.made && path in made ? Promise.resolve(new Response(JSON.stringify(made[path]))) : ask(path, how);"""


def make_status(status: dict[str, Any], count: int) -> dict[str, Any]:
    """A status with so many copies of the first backend, some of them in trouble."""
    made: dict[str, Any] = json.loads(json.dumps(status))
    vpn = made["services"][0]
    pattern = vpn["backends"][0]
    vpn["backends"] = [{**pattern, "name": f"vpn{i}", "address": f"10.1.{i // 256}.{i % 256}", "health": "up"}
                       for i in range(count)]
    return made


def check_markup(page: Page, status: dict[str, Any]) -> None:
    """Every text of an answer stays text."""
    made = make_status(status, 2)
    vpn = made["services"][0]
    vpn.update(name=MARKUP, alarms=[f"alarm {MARKUP}"], mode=MARKUP, schedule=MARKUP, vip=[MARKUP])
    vpn["backends"][0].update(name=MARKUP, address=MARKUP, state=MARKUP, health=MARKUP, suspect=MARKUP, fragmentation=False)
    made["drops"], made["version"] = {MARKUP: 3}, MARKUP
    made["fastpath"].update(mode=MARKUP, interfaces=[{"name": MARKUP, "mode": "off", "trouble": MARKUP}])
    row = {"ago_s": 1.0, "at": MARKUP, "service": MARKUP, "backend": MARKUP}
    client = {"address": MARKUP, "verdict": MARKUP, "connected": False, "summary": MARKUP, "ago_s": 1.0,
              "advice": [MARKUP], "complete": True,
              "clients": [{**row, "ports": {"500": 500, "4500": None}, "idle_s": 1}],
              "handshakes": [{**row, "spi_i": MARKUP, "spi_r": MARKUP, "port": 500, "ended": True, "init_count": 3,
                              "auth_count": 0, "failovers": 1, "roams": 1, "error": MARKUP, "rekeyed": False,
                              "fragmentation": {"client": True, "server": False}, "conflict": False,
                              "large_messages": {"in": True, "out": True},
                              "stages": [{**row, "stage": "init-sent"}]}],
              "moves": [{**row, "from": MARKUP, "to": MARKUP}],
              "refusals": [{**row, "reason": MARKUP, "count": 3}]}
    page.evaluate(f"made = {json.dumps({'/api/v1/status': made, '/api/v1/clients/192.0.2.1': client})}; "
                  "location.hash = 'client=192.0.2.1'")
    page.wait_text("#alarm-list", f"alarm {MARKUP}")
    page.wait_text("#explain-answer", MARKUP)
    page.click(".more")
    page.wait("!!document.querySelector('.details')", "an unfolded row")
    assert page.text("#explain-answer").count(MARKUP) >= 10, page.text("#explain-answer")
    equal(page.evaluate("[...document.querySelectorAll('img, body script')].length"), 1, "the page's one script, no image")


def check_fast_path(page: Page, status: dict[str, Any]) -> None:
    """Its share of the packets, or its mode where there are none; and where it is not."""
    trouble = {"name": "eth1", "mode": "off", "trouble": "another XDP program is attached"}
    fine = {"name": "eth0", "mode": "native", "trouble": None}
    for mode, rates, interfaces, shown in (
        ("native", (30, 10, 30), [fine], "75 %\nof packets, native"),
        ("native", (30000, 10000, 39999), [fine], "99 %\nof packets, native"),
        ("generic", (0, 0, 0), [fine], "generic\nno packets now"),
        ("native", (30, 10, 40), [fine, trouble], "100 %\nof packets, native; not on eth1 (another XDP program is attached)"),
        ("native", (1, 1, 1), [trouble, trouble, fine], "50 %\nof packets, native; not on eth1 "
                                                        "(another XDP program is attached) and 1 more"),
        ("off", (30, 10, 0), [], "off"),
    ):
        made = make_status(status, 1)
        made["services"][0]["backends"][0].update(zip(("rx_pps", "tx_pps", "fast_pps"), rates))
        made["fastpath"].update(mode=mode, interfaces=interfaces, entries=2, capacity=100)
        page.evaluate(f"made = {json.dumps({'/api/v1/status': made})}")
        tile = "document.getElementById('fast').parentElement.innerText.trim()"
        wait_for(lambda: page.evaluate(tile) == shown, f"{shown!r} of the fast path")
    assert "fast path\n2 of 100 (2 %)" in page.text("#tables"), page.text("#tables")


def check_many(page: Page, status: dict[str, Any]) -> None:
    """A thousand servers: found by typing; rows stay what they are from poll to poll; a poll takes no long time."""
    made = make_status(status, MANY)
    made["services"][0]["backends"][700]["health"] = "down"
    made["services"][0]["backends"][701].update(removed=True, state="drain", clients=3)
    made["services"][0]["backends"][702].update(state="drain", clients=0)
    page.evaluate(f"made = {json.dumps({'/api/v1/status': made})}")
    page.wait(f"document.querySelectorAll('tr.backend').length === {MANY}", "all rows", 30.0)
    page.evaluate("document.getElementById('filter-trouble').click()")
    equal(page.text("#filter-count"), f"3 of {MANY:,} servers", "servers in trouble")
    wait_state(page, "vpn700", "down")
    wait_state(page, "vpn701", "removed, 3 clients left")
    wait_state(page, "vpn702", "drained")
    page.evaluate("document.getElementById('filter-trouble').click()")
    page.click("#filter")
    page.type("10.1.3.1 up")
    wait_for(lambda: page.text("#filter-count").startswith("111 of"), "rows whose address begins so")
    page.evaluate("document.getElementById('filter').value = ''; document.getElementById('filter').dispatchEvent(new Event('input'))")
    took = page.evaluate(f"""(() => {{
      const rows = [...document.querySelectorAll('tr.backend')];
      let changed = 0;
      const observer = new MutationObserver((records) => records.forEach((r) => changed += r.addedNodes.length));
      observer.observe(document.getElementById('service-list'), {{childList: true}});
      return new Promise((done) => {{ const ask = window.fetch; window.fetch = (...how) => {{ const answer = ask(...how);
        if (how[0].endsWith('status')) {{ const began = performance.now(); setTimeout(() => requestAnimationFrame(() => setTimeout(() =>
          done([performance.now() - began, changed, rows.every((row) => row.isConnected)]))), 0); }}
        return answer; }}; }});
    }})()""")
    equal(took[1:], [0, True], "rows that were made anew")
    print(f"a poll of {MANY} servers is read and drawn within {took[0]:.0f} ms")


@long
def test_dashboard_strangers() -> None:
    """What no ikelb says: markup in any text stays text, and a thousand servers can be used."""
    with lab(clients=1, servers=1) as bench:
        balancer = start(bench, [fake_service(bench, "transparent", name="aovpn")], ready=False)
        status = balancer.status()
        with browsing(bench) as browser:
            page = browser.page()
            page.call("Page.addScriptToEvaluateOnNewDocument", source=STAND_IN)
            page.open(URL)
            wait_state(page, "s1", "unknown")
            check_markup(page, status)
            check_colours(page)
            check_phone(page)
            check_fast_path(page, status)
            check_many(page, status)
            check_clean(page)
