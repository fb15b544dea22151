package main

import (
	"net/netip"
	"path"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// networkConfig is what a guest's boot data say about its network cards.
type networkConfig struct {
	cards []cardConfig
	// othersDown: a card that no entry matches stays without addresses, as with cloud-init; else it has DHCP, as with
	// Flatcar's own last unit.
	othersDown bool
}

// cardConfig is one entry: the card that it is for, and its addresses with their prefix lengths.
type cardConfig struct {
	mac       string   // in lower case; "" where names decide
	names     []string // patterns
	dhcp      bool
	addresses []netip.Prefix
}

// of is the entry for a card; nil when the card has DHCP without being told so.
func (n networkConfig) of(mac, name string) *cardConfig {
	for i, card := range n.cards {
		if card.mac != "" && card.mac != strings.ToLower(mac) {
			continue
		}
		if len(card.names) > 0 && !slices.ContainsFunc(card.names, func(pattern string) bool {
			matched, _ := path.Match(pattern, name)
			return matched
		}) {
			continue
		}
		return &n.cards[i]
	}
	if n.othersDown {
		return &cardConfig{}
	}
	return nil
}

// networkOfCloudInit reads network-config in version 2, with or without a `network` key around it. Without the file
// cloud-init has DHCP on the first card; that all have it here is said in FIDELITY.md.
func networkOfCloudInit(text []byte) networkConfig {
	type config struct {
		Version   int `yaml:"version"`
		Ethernets map[string]struct {
			Match struct {
				MACAddress string `yaml:"macaddress"`
			} `yaml:"match"`
			DHCP4     bool     `yaml:"dhcp4"`
			DHCP6     bool     `yaml:"dhcp6"`
			Addresses []string `yaml:"addresses"`
		} `yaml:"ethernets"`
	}
	var document struct {
		config  `yaml:",inline"`
		Network *config `yaml:"network"`
	}
	if len(text) == 0 || yaml.Unmarshal(text, &document) != nil {
		return networkConfig{}
	}
	found := document.config
	if document.Network != nil {
		found = *document.Network
	}
	if found.Version != 2 {
		return networkConfig{}
	}
	result := networkConfig{othersDown: true}
	for name, ethernet := range found.Ethernets {
		card := cardConfig{
			mac:       strings.ToLower(ethernet.Match.MACAddress),
			dhcp:      ethernet.DHCP4 || ethernet.DHCP6,
			addresses: prefixes(ethernet.Addresses),
		}
		if card.mac == "" {
			card.names = []string{name}
		}
		result.cards = append(result.cards, card)
	}
	return result
}

// networkOfNetworkd reads the units that a configuration writes for systemd-networkd: the first one that matches a
// card, by file name, is for it.
func networkOfNetworkd(files map[string]string) networkConfig {
	var units []string
	for file := range files {
		if path.Dir(file) == "/etc/systemd/network" && path.Ext(file) == ".network" {
			units = append(units, file)
		}
	}
	slices.Sort(units)
	result := networkConfig{}
	for _, unit := range units {
		result.cards = append(result.cards, networkdUnit(files[unit]))
	}
	return result
}

func networkdUnit(text string) cardConfig {
	var card cardConfig
	section := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			section = line
			continue
		}
		key, value, _ := strings.Cut(line, "=")
		switch section + key {
		case "[Match]MACAddress":
			card.mac = strings.ToLower(value)
		case "[Match]Name":
			card.names = strings.Fields(value)
		case "[Network]DHCP":
			card.dhcp = value != "no" && value != "false"
		case "[Network]Address":
			card.addresses = append(card.addresses, prefixes([]string{value})...)
		}
	}
	return card
}

func prefixes(texts []string) []netip.Prefix {
	var found []netip.Prefix
	for _, text := range texts {
		if prefix, err := netip.ParsePrefix(text); err == nil {
			found = append(found, prefix)
		}
	}
	return found
}
