// Readers parses configurations with the libraries that CCM and the CSI driver parse theirs with, into settings of the
// same key names, and writes what they hold as JSON. Input: a JSON list of {"form", "text"}.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"gopkg.in/gcfg.v1"
	"gopkg.in/yaml.v2"
)

type document struct {
	Form string `json:"form"`
	Text string `json:"text"`
}

type access struct {
	User        string `gcfg:"user"`
	Password    string `gcfg:"password"`
	Port        string `gcfg:"port"`
	Insecure    bool   `gcfg:"insecure-flag"`
	CAFile      string `gcfg:"ca-file"`
	Datacenters string `gcfg:"datacenters"`
}

type ccmINI struct {
	Global        access
	VirtualCenter map[string]*access
	Labels        struct {
		Region string `gcfg:"region"`
		Zone   string `gcfg:"zone"`
	}
}

type csiINI struct {
	Global struct {
		ClusterID    string `gcfg:"cluster-id"`
		Distribution string `gcfg:"cluster-distribution"`
		Insecure     bool   `gcfg:"insecure-flag"`
		CAFile       string `gcfg:"ca-file"`
	}
	VirtualCenter map[string]*access
	Labels        struct {
		Categories string `gcfg:"topology-categories"`
	}
}

type ccmYAML struct {
	Vcenter map[string]struct {
		Server          string   `yaml:"server"`
		Port            uint     `yaml:"port"`
		Insecure        bool     `yaml:"insecureFlag"`
		CAFile          string   `yaml:"caFile"`
		Datacenters     []string `yaml:"datacenters"`
		User            string   `yaml:"user"`
		Password        string   `yaml:"password"`
		SecretName      string   `yaml:"secretName"`
		SecretNamespace string   `yaml:"secretNamespace"`
	} `yaml:"vcenter"`
	Labels struct {
		Region string `yaml:"region"`
		Zone   string `yaml:"zone"`
	} `yaml:"labels"`
}

func read(one document) (any, error) {
	switch one.Form {
	case "ccm.conf":
		var settings ccmINI
		// CCM passes over what it does not know, and stops at everything else.
		return &settings, gcfg.FatalOnly(gcfg.ReadStringInto(&settings, one.Text))
	case "csi-vsphere.conf":
		var settings csiINI
		return &settings, gcfg.ReadStringInto(&settings, one.Text)
	case "ccm.yaml":
		var settings ccmYAML
		return &settings, yaml.UnmarshalStrict([]byte(one.Text), &settings)
	}
	return nil, fmt.Errorf("no such form: %s", one.Form)
}

func main() {
	var documents []document
	if err := json.NewDecoder(os.Stdin).Decode(&documents); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	results := make([]any, 0, len(documents))
	for number, one := range documents {
		settings, err := read(one)
		if err != nil {
			fmt.Fprintf(os.Stderr, "document %d (%s): %v\n", number, one.Form, err)
			os.Exit(1)
		}
		results = append(results, settings)
	}
	if err := json.NewEncoder(os.Stdout).Encode(results); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
