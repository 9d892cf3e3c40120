package main

import (
	_ "embed"
	"encoding/json"
	"fmt"
)

//go:embed examples.json
var exampleFile []byte

// examples are those of the operations, by operation id: of single parameters, and of the request and the response, each by
// its own name.
type examples map[string]struct{ Parameters, Request, Response object }

func readExamples() (examples, error) {
	var read examples
	if err := json.Unmarshal(exampleFile, &read); err != nil {
		return nil, fmt.Errorf("examples.json: %w", err)
	}
	return read, nil
}

// addTo writes the examples into their operations.
func (e examples) addTo(paths object) error {
	added := 0
	for _, verbs := range paths {
		for _, each := range verbs.(object) {
			operation := each.(object)
			of, ok := e[operation["operationId"].(string)]
			if !ok {
				continue
			}
			added++
			if err := addToParameters(of.Parameters, operation); err != nil {
				return err
			}
			if of.Request != nil {
				at(operation, "requestBody", "content", "application/json")["examples"] = of.Request
			}
			if of.Response != nil {
				at(operation, "responses", "200", "content", "application/json")["examples"] = of.Response
			}
		}
	}
	if added != len(e) {
		return fmt.Errorf("examples.json: %d of %d operations exist", added, len(e))
	}
	return nil
}

// addToParameters writes the examples of parameters, by name, into those of an operation.
func addToParameters(examples, operation object) error {
	parameters, _ := operation["parameters"].(list)
	added := 0
	for _, each := range parameters {
		parameter := each.(object)
		if example, ok := examples[parameter["name"].(string)]; ok {
			parameter["example"] = example
			added++
		}
	}
	if added != len(examples) {
		return fmt.Errorf("examples.json: %s has %d of %d parameters", operation["operationId"], added, len(examples))
	}
	return nil
}
