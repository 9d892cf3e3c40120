package browser

import (
	"fmt"
	"os"
	"os/exec"
	"sync"
)

// consoleFolder holds the sources of the console, whose development dependencies include axe-core.
const consoleFolder = "../../console"

// axeSource is the source of axe-core, read on first use.
var axeSource = sync.OnceValues(func() (string, error) {
	const file = consoleFolder + "/node_modules/axe-core/axe.min.js"
	if _, err := os.Stat(file); err != nil {
		install := exec.Command("npm", "ci", "--no-progress")
		install.Dir = consoleFolder
		if out, err := install.CombinedOutput(); err != nil {
			return "", fmt.Errorf("npm ci in %s: %w\n%s", consoleFolder, err, out)
		}
	}
	text, err := os.ReadFile(file)
	return string(text), err
})

// axeRun runs axe-core after the animations that end. Colours of an element that fades in would be wrong.
const axeRun = `(async () => {
  const ending = document.getAnimations().filter(a => a.effect.getComputedTiming().endTime < 1e4);
  await Promise.all(ending.map(a => a.finished.catch(() => {})));
  const { violations } = await axe.run(document, { resultTypes: ["violations"] });
  return violations.filter(v => v.impact === "serious" || v.impact === "critical").flatMap(v =>
    v.nodes.map(n => v.id + ": " + n.html + "\n    " + n.failureSummary.replaceAll("\n", "\n    ")));
})()`

// checkAccessible fails the test if axe-core finds violations that are serious or critical, in either theme. With
// -screenshots it also saves what the page shows, under the given name.
func (p *page) checkAccessible(name string) {
	p.t.Helper()
	p.checkAccessibleAsItIs(name)
	p.saveAll(name)
}

// checkAccessibleAsItIs is checkAccessible without screenshots of other widths.
func (p *page) checkAccessibleAsItIs(name string) {
	p.t.Helper()
	for _, scheme := range themes {
		p.setTheme(scheme)
		for _, violation := range p.violations() {
			p.t.Errorf("%s, %s: axe-core: %s", name, scheme, violation)
		}
	}
	p.setTheme("light")
}

// violations runs axe-core on what the page shows.
func (p *page) violations() []string {
	p.t.Helper()
	source, err := axeSource()
	if err != nil {
		p.t.Fatal(err)
	}
	if !eval[bool](p, "'axe' in window") {
		eval[any](p, source+"\n;null")
	}
	return eval[[]string](p, axeRun)
}
