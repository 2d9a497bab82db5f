package io.verdier.verticles.page;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** What the cluster's page draws and does, in a real browser. Costs about five seconds. */
final class ClusterPageIT extends BrowserFixture {
  private static final String ENGINE = ".node[data-phase] button[aria-label$=\"engine-1\"]";

  @BeforeEach
  void openCluster() throws Exception {
    needFake();
    server.cluster().reset();
    page.navigate(server.url() + "cluster.html");
    page.await("document.querySelectorAll('.node').length === 3");
  }

  private String card(String name) {
    return String.valueOf(
        page.eval(
            "[...document.querySelectorAll('.node')].find(it => it.querySelector('h2').textContent"
                + " === '"
                + name
                + "')?.innerText ?? 'none'"));
  }

  private void awaitCard(String name, String text) {
    page.await(
        ("[...document.querySelectorAll('.node')].some(it => it.innerText.includes('%s')"
                + " && it.innerText.includes('%s'))")
            .formatted(name, text));
  }

  @Test
  void nodes_each_areDrawnWithWhatTheyTell() {
    assertThat(card("engine-1"))
        .contains("serving", "engine, cache", "verdier-demo, 1 adapter", "7 running, 1 waiting")
        .contains("700 free of 1000", "75 % of prompt tokens found, 77 prefixes announced")
        .contains("3 came, 5 went", "Drain");
    assertThat(card("ingress-1")).contains("tells this", "12").doesNotContain("KV blocks");
    assertThat(page.text("#summary")).contains("3 nodes, 2 engines", "12 streams", "ready");
    assertThat(number("document.querySelectorAll('#ingresses .node').length")).isEqualTo(1);
    assertThat(number("document.querySelectorAll('#links path').length")).isEqualTo(2);
    assertThat(page.eval("document.querySelector('#links path').getBBox().width > 50"))
        .isEqualTo(true);
    assertThat(page.complaints()).isEmpty();
    assertThat(page.requested()).allMatch(it -> it.startsWith(server.url()));
  }

  @Test
  void page_left_followsWhatHappens() {
    server.cluster().change("engine-2", "phase", "draining");
    awaitCard("engine-2", "draining");
    server.cluster().change("engine-2", "silent_ms", 7000);
    awaitCard("engine-2", "silent for 7 s");
    server.cluster().change("engine-1", "hung", true);
    awaitCard("engine-1", "hung");
    server.cluster().kill("engine-2");
    awaitCard("engine-2", "gone");
    assertThat(page.text("#summary")).contains("2 nodes, 1 engine;", "8 moved");
    assertThat(page.complaints()).isEmpty();
  }

  @Test
  void drain_pressed_asksWithTheKeyThatWasTyped() {
    page.click(ENGINE);
    assertThat(page.text("#notice")).isEqualTo("Enter the admin key first.");
    assertThat(page.eval("document.activeElement.id")).isEqualTo("admin-key");
    page.type("wrong");
    page.click(ENGINE);
    page.await("document.querySelector('#notice').textContent === 'The admin key is not right.'");
    page.eval("document.querySelector('#admin-key').value = ''");
    page.eval("document.querySelector('#admin-key').focus()");
    page.type(FakeCluster.ADMIN_KEY);
    page.click(ENGINE);
    awaitCard("engine-1", "draining");
    assertThat(page.text("#notice")).isEqualTo("engine-1 was told to drain.");
    assertThat(page.text(ENGINE)).isEqualTo("Resume");
    page.click(ENGINE);
    page.await("document.querySelector('.node[data-phase=draining]') === null");
    assertThat(page.text(ENGINE)).isEqualTo("Drain");
  }

  @Test
  void names_withMarkup_stayText() {
    server.cluster().change("engine-1", "name", "<img src=x onerror='window.pwned=1'>");
    awaitCard("onerror", "Drain");
    assertThat(number("document.querySelectorAll('#map img').length")).isZero();
    assertThat(page.eval("typeof window.pwned")).isEqualTo("undefined");
    assertThat(page.complaints()).isEmpty();
  }

  @Test
  void page_narrowOrDark_canBeRead() {
    for (String scheme : List.of("light", "dark")) {
      page.media("prefers-color-scheme", scheme);
      assertThat(page.faintTexts()).as(scheme).isEmpty();
    }
    page.resize(360, 740);
    assertThat(
            number("document.documentElement.scrollWidth - document.documentElement.clientWidth"))
        .isZero();
  }
}
