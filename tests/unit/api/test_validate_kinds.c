/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of workloads, jobs, autoscalers, budgets, ingresses and volumes: documents and what is said of them. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api_types.h"
#include "api/cron.h"
#include "../documents.h"

struct vcase {
	const char *spec; /* of the object; the rest is filled in */
	const char *old;  /* NULL: creation */
	const char *want; /* "": valid; else part of what is said */
};

static json_t *object(const struct api_kind *kind, const char *text)
{
	json_t *obj = from_yaml(text);
	char version[96];

	api_kind_api_version(kind, version, sizeof(version));
	json_object_set_new(obj, "apiVersion", json_string(version));
	json_object_set_new(obj, "kind", json_string(kind->kind));
	if (!api_get(obj, "metadata.name"))
		(void)api_set(obj, "metadata.name", json_string("x"));
	if (kind->namespaced)
		(void)api_set(obj, "metadata.namespace", json_string("default"));
	return obj;
}

static void run(const struct api_kind *kind, const struct vcase *t, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct api_errs errs = { 0 };
		json_t *obj = object(kind, t[i].spec), *old = t[i].old ? object(kind, t[i].old) : NULL;
		char said[4096];

		api_check(kind->type, obj, &errs);
		errs_text(&errs, said, sizeof(said));
		cr_assert_eq(errs.n, 0, "%s %zu: %s", kind->kind, i, said);
		api_default(kind, obj);
		if (old)
			api_default(kind, old);
		api_validate(kind, obj, old, &errs);
		errs_text(&errs, said, sizeof(said));
		if (!*t[i].want)
			cr_assert_eq(errs.n, 0, "%s %zu: %s", kind->kind, i, said);
		else
			cr_assert(strstr(said, t[i].want), "%s %zu: said '%s', not '%s'", kind->kind, i, said,
				  t[i].want);
		api_errs_done(&errs);
		json_decref(obj);
		json_decref(old);
	}
}
#define RUN(kind, t) run(kind, t, sizeof(t) / sizeof((t)[0]))

#define TEMPLATE "template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i}]}}"
#define SELECTOR "selector: {matchLabels: {a: b}}"
#define CLAIM	 "accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}"
#define STS	 "serviceName: s, " SELECTOR ", " TEMPLATE
#define JOB	 "template: {metadata: {labels: {a: b}}, spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}"

Test(validate_kinds, stateful_and_daemon_sets)
{
	static const struct vcase sts[] = {
		{ "spec: {" STS "}", NULL, "" },
		{ "spec: {" TEMPLATE "}", NULL, "spec.selector: Required value" },
		{ "spec: {selector: {}, " TEMPLATE "}", NULL, "empty selector is invalid for statefulset" },
		{ "spec: {selector: {matchLabels: {a: c}}, " TEMPLATE "}", NULL, "`selector` does not match template" },
		{ "spec: {" STS ", podManagementPolicy: Odd}", NULL,
		  "supported values: \"OrderedReady\", \"Parallel\"" },
		{ "spec: {" STS ", updateStrategy: {type: OnDelete, rollingUpdate: {partition: 1}}}", NULL,
		  "only allowed for updateStrategy 'RollingUpdate'" },
		{ "spec: {" STS ", volumeClaimTemplates: [{metadata: {name: d}, spec: {}}]}", NULL,
		  "spec.volumeClaimTemplates[0].spec.accessModes: Required value: at least 1 access mode" },
		{ "spec: {serviceName: s, " SELECTOR
		  ", template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, "
		  "image: i, volumeMounts: [{name: d, mountPath: /d}]}]}}, volumeClaimTemplates: [{metadata: {name: d}, spec: "
		  "{" CLAIM "}}]}",
		  NULL, "" },
		{ "spec: {serviceName: s, " SELECTOR
		  ", template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, "
		  "image: i, volumeMounts: [{name: e, mountPath: /d}]}]}}, volumeClaimTemplates: [{metadata: {name: d}, spec: "
		  "{" CLAIM "}}]}",
		  NULL, "Not found: \"e\"" },
		{ "spec: {" STS ", replicas: 3, minReadySeconds: 4, ordinals: {start: 2}}", "spec: {" STS "}", "" },
		{ "spec: {" STS "}", "spec: {" STS ", podManagementPolicy: Parallel}",
		  "updates to statefulset spec for fields other than" },
	};
	static const struct vcase ds[] = {
		{ "spec: {" SELECTOR ", " TEMPLATE "}", NULL, "" },
		{ "spec: {" SELECTOR ", " TEMPLATE ", updateStrategy: {rollingUpdate: {maxUnavailable: 0}}}", NULL,
		  "cannot be 0 when maxSurge is 0" },
		{ "spec: {" SELECTOR ", " TEMPLATE
		  ", updateStrategy: {rollingUpdate: {maxUnavailable: 1, maxSurge: 10%}}}",
		  NULL, "may not be set when maxUnavailable is non-zero" },
		{ "spec: {" SELECTOR ", " TEMPLATE ", updateStrategy: {rollingUpdate: {maxUnavailable: 101%}}}", NULL,
		  "must not be greater than 100%" },
		{ "spec: {" SELECTOR ", " TEMPLATE "}",
		  "spec: {selector: {matchLabels: {a: c}}, template: {metadata: {labels: {a: c}}, spec: {containers: "
		  "[{name: c, image: i}]}}}",
		  "field is immutable" },
	};
	static const struct vcase rc[] = {
		{ "spec: {" TEMPLATE "}", NULL, "" },
		{ "spec: {selector: {a: c}, " TEMPLATE "}", NULL, "`selector` does not match template" },
		{ "spec: {}", NULL, "spec.template: Required value" },
	};

	RUN(&api_kind_stateful_set, sts);
	RUN(&api_kind_daemon_set, ds);
	RUN(&api_kind_replication_controller, rc);
}

Test(validate_kinds, load_balancer_pools)
{
	static const struct vcase pool[] = {
		{ "spec: {addresses: [192.0.2.0/28, 198.51.100.7-198.51.100.9, '2001:db8::/124', '2001:db8:1::1-2001:db8:1::5']}",
		  NULL, "" },
		{ "spec: {addresses: [10.16.0.0/12], autoAssign: false}", NULL, "" },
		{ "spec: {addresses: [10.16.0.1-10.16.0.1, 10.16.0.2/32]}", NULL, "" },
		{ "spec: {}", NULL, "spec.addresses: Required value" },
		{ "spec: {addresses: []}", NULL, "spec.addresses: Required value" },
		{ "spec: {addresses: ['']}", NULL, "must be a CIDR" },
		{ "spec: {addresses: [192.0.2.7]}", NULL,
		  "spec.addresses[0]: Invalid value: \"192.0.2.7\": must be a CIDR" },
		{ "spec: {addresses: [192.0.2.0/33]}", NULL, "must be a CIDR" },
		{ "spec: {addresses: [192.0.2.0/]}", NULL, "must be a CIDR" },
		{ "spec: {addresses: [192.0.2.0/-1]}", NULL, "must be a CIDR" },
		{ "spec: {addresses: [192.0.2.1-]}", NULL, "must be a CIDR" },
		{ "spec: {addresses: ['192.0.2.1-2001:db8::1']}", NULL, "must be a CIDR" },
		{ "spec: {addresses: [192.0.2.9-192.0.2.8]}", NULL, "must not end before it begins" },
		{ "spec: {addresses: [192.0.2.1/24]}", NULL, "must not have bits set behind the prefix" },
		{ "spec: {addresses: [10.0.0.0/11]}", NULL, "must not have more than 1048576 addresses" },
		{ "spec: {addresses: ['2001:db8::/64']}", NULL, "must not have more than 1048576 addresses" },
		{ "spec: {addresses: [0.0.0.0/0]}", NULL, "unspecified" },
		{ "spec: {addresses: ['::/0']}", NULL, "unspecified" },
		{ "spec: {addresses: [127.0.0.0/24]}", NULL, "loopback" },
		{ "spec: {addresses: ['::1/128']}", NULL, "loopback" },
		{ "spec: {addresses: [223.255.255.0-224.0.0.5]}", NULL, "multicast" },
		{ "spec: {addresses: ['ff02::1/128']}", NULL, "multicast" },
		{ "spec: {addresses: ['fe80::/120']}", NULL, "link-local" },
		{ "spec: {addresses: ['::ffff:192.0.2.0/124']}", NULL, "IPv4 addresses in IPv6's form" },
		{ "spec: {addresses: [255.255.255.254-255.255.255.255]}", NULL, "broadcast" },
		{ "spec: {addresses: [192.0.2.0/28, 192.0.2.15-192.0.2.16]}", NULL,
		  "spec.addresses[1]: Invalid value: \"192.0.2.15-192.0.2.16\": must not overlap another range" },
		{ "spec: {addresses: [192.0.2.0/29]}", "spec: {addresses: [192.0.2.0/28]}", "" },
	};

	RUN(&api_kind_load_balancer_pool, pool);
}

Test(validate_kinds, jobs)
{
	static const struct vcase job[] = {
		{ "spec: {" SELECTOR ", " JOB "}", NULL, "" },
		{ "spec: {" SELECTOR ", " TEMPLATE "}", NULL,
		  "spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\"" },
		{ "spec: {" JOB "}", NULL, "spec.selector: Required value" },
		{ "spec: {" SELECTOR ", " JOB ", completionMode: Indexed, parallelism: 2}", NULL,
		  "spec.completions: Required value: when completion mode is Indexed" },
		{ "spec: {" SELECTOR ", " JOB ", backoffLimitPerIndex: 1}", NULL, "requires indexed completion mode" },
		{ "spec: {" SELECTOR ", " JOB ", completionMode: Indexed, completions: 2, maxFailedIndexes: 3}", NULL,
		  "must be less than or equal to completions" },
		{ "spec: {" SELECTOR ", " JOB ", parallelism: -1}", NULL, "must be greater than or equal to 0" },
		{ "spec: {" SELECTOR ", " JOB ", podFailurePolicy: {rules: [{action: FailJob}]}}", NULL,
		  "specifying one of OnExitCodes and OnPodConditions is required" },
		{ "spec: {" SELECTOR ", " JOB
		  ", podFailurePolicy: {rules: [{action: FailIndex, onPodConditions: [{type: "
		  "X}]}]}}",
		  NULL, "requires the backoffLimitPerIndex to be set" },
		{ "spec: {" SELECTOR ", " JOB ", managedBy: me}", NULL, "must be a domain-prefixed path" },
		{ "spec: {" SELECTOR ", " JOB ", completions: 1, parallelism: 4}", "spec: {" SELECTOR ", " JOB "}",
		  "" },
		{ "spec: {" SELECTOR ", " JOB ", completions: 4}", "spec: {" SELECTOR ", " JOB "}",
		  "spec.completions: Invalid value: 4: field is immutable" },
		{ "spec: {" SELECTOR ", " JOB ", completionMode: Indexed, completions: 4, parallelism: 4}",
		  "spec: {" SELECTOR ", " JOB ", completionMode: Indexed, completions: 2, parallelism: 2}", "" },
		{ "spec: {" SELECTOR
		  ", template: {metadata: {labels: {a: b, c: d}}, spec: {restartPolicy: Never, containers: "
		  "[{name: c, image: i}]}}}",
		  "spec: {" SELECTOR ", " JOB "}", "spec.template: Invalid value" },
		{ "spec: {suspend: true, " SELECTOR
		  ", template: {metadata: {labels: {a: b, c: d}}, spec: {restartPolicy: "
		  "Never, containers: [{name: c, image: i}]}}}",
		  "spec: {suspend: true, " SELECTOR ", " JOB "}", "" },
	};
	static const struct vcase cron[] = {
		{ "spec: {schedule: '*/5 * * * *', jobTemplate: {spec: {" JOB "}}}", NULL, "" },
		{ "spec: {schedule: '* * *', jobTemplate: {spec: {" JOB "}}}", NULL,
		  "spec.schedule: Invalid value: \"* * *\": expected exactly 5 fields, found 3" },
		{ "spec: {schedule: 'TZ=UTC * * * * *', jobTemplate: {spec: {" JOB "}}}", NULL,
		  "use timeZone field instead" },
		{ "spec: {schedule: '@daily', timeZone: '', jobTemplate: {spec: {" JOB "}}}", NULL,
		  "timeZone must be nil or non-empty string" },
		{ "spec: {schedule: '@daily', timeZone: ../../etc/passwd, jobTemplate: {spec: {" JOB "}}}", NULL,
		  "unknown time zone" },
		{ "spec: {schedule: '@daily', jobTemplate: {spec: {" TEMPLATE "}}}", NULL,
		  "spec.jobTemplate.spec.template.spec.restartPolicy: Required value" },
		{ "spec: {schedule: '@daily', jobTemplate: {spec: {manualSelector: true, " JOB "}}}", NULL,
		  "Unsupported value: true" },
		{ "{metadata: {name: a123456789012345678901234567890123456789012345678901x}, spec: {schedule: '@daily', "
		  "jobTemplate: {spec: {" JOB "}}}}",
		  NULL, "must be no more than 52 characters" },
	};

	RUN(&api_kind_job, job);
	RUN(&api_kind_cron_job, cron);
}

Test(validate_kinds, schedules)
{
	static const struct {
		const char *text;
		int r;
		uint64_t minutes, hours, days, months, weekdays;
	} t[] = {
		{ "0 0 1 1 *", 0, 1, 1, 2, 2, 0x7f },
		{ "*/20 8-10 * feb,dec mon-wed", 0, 1ULL << 0 | 1ULL << 20 | 1ULL << 40, 0x700, 0xfffffffe, 0x1004,
		  0xe },
		{ "58/1 ? ? * SUN", 0, 3ULL << 58, 0xffffff, 0xfffffffe, 0x1ffe, 1 },
		{ "  1\t2 3 4 5 ", 0, 2, 4, 8, 16, 32 },
		{ "@hourly", 0, 1, 0xffffff, 0xfffffffe, 0x1ffe, 0x7f },
		{ "60 * * * *", -1, 0, 0, 0, 0, 0 },
		{ "* 24 * * *", -1, 0, 0, 0, 0, 0 },
		{ "* * 0 * *", -1, 0, 0, 0, 0, 0 },
		{ "* * * 13 *", -1, 0, 0, 0, 0, 0 },
		{ "* * * * 7", -1, 0, 0, 0, 0, 0 },
		{ "5-1 * * * *", -1, 0, 0, 0, 0, 0 },
		{ "*/0 * * * *", -1, 0, 0, 0, 0, 0 },
		{ "1,, * * * *", -1, 0, 0, 0, 0, 0 },
		{ "-1 * * * *", -1, 0, 0, 0, 0, 0 },
		{ "99999999999 * * * *", -1, 0, 0, 0, 0, 0 },
		{ "a * * * *", -1, 0, 0, 0, 0, 0 },
		{ "* * * * * *", -1, 0, 0, 0, 0, 0 },
		{ "", -1, 0, 0, 0, 0, 0 },
		{ "@never", -1, 0, 0, 0, 0, 0 },
		{ "@every", -1, 0, 0, 0, 0, 0 },
		{ "@every 1x", -1, 0, 0, 0, 0, 0 },
		{ "@every 0x5s", -1, 0, 0, 0, 0, 0 },
		{ "@every -5s", -1, 0, 0, 0, 0, 0 },
	};
	struct cron c;
	char why[160];

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		cr_assert((cron_parse(t[i].text, &c, why, sizeof(why)) < 0) == (t[i].r < 0), "'%s'", t[i].text);
		if (t[i].r < 0)
			continue;
		cr_assert(c.minutes == t[i].minutes && c.hours == t[i].hours && c.days == t[i].days &&
				  c.months == t[i].months && c.weekdays == t[i].weekdays,
			  "'%s': %llx %llx %llx %llx %llx", t[i].text, (unsigned long long)c.minutes,
			  (unsigned long long)c.hours, (unsigned long long)c.days, (unsigned long long)c.months,
			  (unsigned long long)c.weekdays);
	}
	cr_assert(cron_parse("@every 1h30m", &c, why, sizeof(why)) == 0 && c.every_s == 5400);
	cr_assert(cron_parse("@every 10ms", &c, why, sizeof(why)) == 0 && c.every_s == 1);
	cr_assert(cron_parse("0 0 * * 1", &c, why, sizeof(why)) == 0 && c.any_day && !c.any_weekday);
}

Test(validate_kinds, autoscalers_and_budgets)
{
#define REF "scaleTargetRef: {kind: Deployment, name: d}"
	static const struct vcase hpa[] = {
		{ "spec: {" REF ", maxReplicas: 3}", NULL, "" },
		{ "spec: {" REF ", maxReplicas: 3, minReplicas: 4}", NULL,
		  "must be greater than or equal to `minReplicas`" },
		{ "spec: {" REF ", maxReplicas: 0}", NULL, "must be greater than 0" },
		{ "spec: {" REF ", minReplicas: 0, maxReplicas: 1}", NULL, "must be greater than or equal to 1" },
		{ "spec: {maxReplicas: 3}", NULL, "spec.scaleTargetRef.kind: Required value" },
		{ "spec: {" REF ", maxReplicas: 3, metrics: [{type: Pods}]}", NULL,
		  "must populate information for the given metric source" },
		{ "spec: {" REF ", maxReplicas: 3, metrics: [{type: Resource, resource: {name: cpu, target: {type: "
		  "Utilization}}}]}",
		  NULL, "must set either a target raw value or a target utilization" },
		{ "spec: {" REF ", maxReplicas: 3, metrics: [{type: Resource, resource: {name: cpu, target: {type: "
		  "Utilization, averageUtilization: 0}}}]}",
		  NULL, "must be greater than 0" },
		{ "spec: {" REF
		  ", maxReplicas: 3, metrics: [{type: External, external: {metric: {name: m}, target: {type: "
		  "Value, value: -1}}}]}",
		  NULL, "must be positive" },
		{ "spec: {" REF
		  ", maxReplicas: 3, behavior: {scaleUp: {policies: [{type: Pods, value: 1, periodSeconds: "
		  "1801}]}}}",
		  NULL, "must be between 1 and 1800" },
	};
	static const struct vcase pdb[] = {
		{ "spec: {minAvailable: 50%, " SELECTOR "}", NULL, "" },
		{ "spec: {minAvailable: 1, maxUnavailable: 1, " SELECTOR "}", NULL, "cannot be both set" },
		{ "spec: {maxUnavailable: -1}", NULL, "must be greater than or equal to 0" },
		{ "spec: {maxUnavailable: 120%}", NULL, "must not be greater than 100%" },
		{ "spec: {minAvailable: many}", NULL, "a valid percent string" },
	};

	RUN(&api_kind_horizontal_pod_autoscaler, hpa);
	RUN(&api_kind_pod_disruption_budget, pdb);
}

#define RULE(path, backend) "spec: {rules: [{http: {paths: [{" path ", backend: {" backend "}}]}}]}"
#define SVC		    "service: {name: s, port: {number: 80}}"

Test(validate_kinds, ingresses_and_endpoints)
{
	static const struct vcase ing[] = {
		{ RULE("path: /, pathType: Prefix", SVC), NULL, "" },
		{ "spec: {defaultBackend: {" SVC "}}", NULL, "" },
		{ "spec: {}", NULL, "either `defaultBackend` or `rules` must be specified" },
		{ RULE("path: x, pathType: Exact", SVC), NULL, "must be an absolute path" },
		{ RULE("path: /a/../b, pathType: Exact", SVC), NULL, "must not contain '/../'" },
		{ RULE("path: /, pathType: Odd", SVC), NULL, "supported values: \"Exact\"" },
		{ RULE("path: /", SVC), NULL, "spec.rules[0].http.paths[0].pathType: Required value" },
		{ RULE("path: /, pathType: Prefix", ""), NULL, "resource or service backend is required" },
		{ RULE("path: /, pathType: Prefix", "service: {name: s, port: {name: p, number: 80}}"), NULL,
		  "cannot set both port name & port number" },
		{ RULE("path: /, pathType: Prefix", "service: {name: s, port: {}}"), NULL,
		  "port name or number is required" },
		{ RULE("path: /, pathType: Prefix", "service: {name: s, port: {number: 70000}}"), NULL,
		  "must be between 1 and 65535" },
		{ "spec: {rules: [{host: 10.0.0.1}]}", NULL, "must be a DNS name, not an IP address" },
		{ "spec: {rules: [{host: a.*.b}]}", NULL, "must start with '*.'" },
		{ "spec: {rules: [{host: '*.a.b'}], tls: [{hosts: [A]}]}", NULL,
		  "spec.tls[0].hosts[0]: Invalid value" },
		{ "{metadata: {annotations: {kubernetes.io/ingress.class: x}}, spec: {ingressClassName: x, rules: [{host: "
		  "a}]}}",
		  NULL, "can not be set when the class field is also set" },
	};
	static const struct vcase cls[] = {
		{ "spec: {controller: a.b/c}", NULL, "" },
		{ "spec: {}", NULL, "spec.controller: Required value" },
		{ "spec: {controller: c}", NULL, "must be a domain-prefixed path" },
		{ "spec: {controller: a.b/c, parameters: {kind: K, name: n, scope: Namespace}}", NULL,
		  "spec.parameters.namespace: Required value" },
		{ "spec: {controller: a.b/d}", "spec: {controller: a.b/c}", "field is immutable" },
	};
	static const struct vcase eps[] = {
		{ "subsets: [{addresses: [{ip: 10.0.0.1}], ports: [{port: 80}]}]", NULL, "" },
		{ "subsets: [{ports: [{port: 80}]}]", NULL, "must specify `addresses` or `notReadyAddresses`" },
		{ "subsets: [{addresses: [{ip: 127.0.0.1}]}]", NULL, "may not be in the loopback range" },
		{ "subsets: [{addresses: [{ip: 'fe80::1'}]}]", NULL, "may not be in the link-local range" },
		{ "subsets: [{addresses: [{ip: x}]}]", NULL, "must be a valid IP address" },
		{ "subsets: [{addresses: [{ip: 10.0.0.1}], ports: [{port: 80}, {port: 81}]}]", NULL,
		  "subsets[0].ports[0].name: Required value" },
	};

	RUN(&api_kind_ingress, ing);
	RUN(&api_kind_ingress_class, cls);
	RUN(&api_kind_endpoints, eps);
}

#define PV "capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce]"

Test(validate_kinds, volumes)
{
	static const struct vcase pv[] = {
		{ "spec: {" PV ", hostPath: {path: /x}}", NULL, "" },
		{ "spec: {accessModes: [ReadWriteOnce], hostPath: {path: /x}}", NULL,
		  "spec.capacity[storage]: Required value" },
		{ "spec: {capacity: {storage: 0}, accessModes: [ReadWriteOnce], hostPath: {path: /x}}", NULL,
		  "must be greater than zero" },
		{ "spec: {" PV "}", NULL, "must specify a volume type" },
		{ "spec: {" PV ", hostPath: {path: /x}, nfs: {server: s, path: /y}}", NULL,
		  "may not specify more than 1 volume type" },
		{ "spec: {" PV ", hostPath: {path: /x/../y}}", NULL, "must not contain '..'" },
		{ "spec: {" PV ", local: {path: /x}}", NULL, "Local volume requires node affinity" },
		{ "spec: {" PV ", rbd: {image: x}}", NULL, "rbd is not supported by Skep yet: use csi" },
		{ "spec: {capacity: {storage: 1}, accessModes: [ReadWriteOncePod, ReadOnlyMany], hostPath: {path: /x}}",
		  NULL, "may not use ReadWriteOncePod with other access modes" },
		{ "spec: {" PV ", hostPath: {path: /y}}", "spec: {" PV ", hostPath: {path: /x}}",
		  "spec.persistentvolumesource is immutable after creation" },
		{ "spec: {" PV
		  ", hostPath: {path: /x}, nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: "
		  "[{key: k, operator: In}]}]}}}",
		  NULL, "must be specified when `operator` is 'In' or 'NotIn'" },
	};
	static const struct vcase pvc[] = {
		{ "spec: {" CLAIM "}", NULL, "" },
		{ "spec: {resources: {requests: {storage: 1Gi}}}", NULL, "at least 1 access mode is required" },
		{ "spec: {accessModes: [ReadWriteOnce]}", NULL, "spec.resources.requests[storage]: Required value" },
		{ "spec: {" CLAIM ", volumeName: v, storageClassName: c}", "spec: {" CLAIM "}", "" },
		{ "spec: {" CLAIM ", volumeName: v}", "spec: {" CLAIM ", volumeName: w}",
		  "spec is immutable after creation except resources.requests" },
		{ "spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 2Gi}}}", "spec: {" CLAIM "}",
		  "spec is immutable after creation" },
		{ "spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 2Gi}}}",
		  "{spec: {" CLAIM "}, status: {phase: Bound}}", "" },
		{ "spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}",
		  "{spec: {" CLAIM "}, status: {phase: Bound}}", "field can not be less than previous value" },
	};
	static const struct vcase sc[] = {
		{ "provisioner: a.b/c", NULL, "" },
		{ "{}", NULL, "provisioner: Required value" },
		{ "{provisioner: a.b/c, parameters: {x: y}}", "provisioner: a.b/c",
		  "updates to parameters are forbidden" },
		{ "{provisioner: a.b/c, reclaimPolicy: Retain}", "provisioner: a.b/c",
		  "updates to reclaimPolicy are forbidden" },
		{ "{provisioner: a.b/c, allowVolumeExpansion: true}", "provisioner: a.b/c", "" },
	};
	static const struct vcase va[] = {
		{ "spec: {attacher: a, nodeName: n, source: {persistentVolumeName: v}}", NULL, "" },
		{ "spec: {attacher: a, nodeName: n, source: {}}", NULL, "must specify exactly one of" },
		{ "spec: {attacher: a, nodeName: m, source: {persistentVolumeName: v}}",
		  "spec: {attacher: a, nodeName: n, source: {persistentVolumeName: v}}", "field is immutable" },
	};
	static const struct vcase node[] = {
		{ "spec: {drivers: [{name: d, nodeID: n}]}", NULL, "" },
		{ "spec: {drivers: [{name: d, nodeID: n}, {name: d, nodeID: n}]}", NULL, "Duplicate value" },
		{ "spec: {drivers: [{name: d, nodeID: m}]}", "spec: {drivers: [{name: d, nodeID: n}]}",
		  "field is immutable" },
	};

	RUN(&api_kind_persistent_volume, pv);
	RUN(&api_kind_persistent_volume_claim, pvc);
	RUN(&api_kind_storage_class, sc);
	RUN(&api_kind_volume_attachment, va);
	RUN(&api_kind_csi_node, node);
}

/* --- defaults and columns ----------------------------------------------------------------------------------------- */

static void cells(const struct api_kind *kind, const char *text, const char *want)
{
	json_t *obj = object(kind, text), *row, *v;
	char got[1024] = "";
	size_t i, n = 0;

	api_default(kind, obj);
	row = api_table_cells(kind, obj, 1704164645000); /* 2024-01-02T03:04:05Z */
	json_array_foreach (row, i, v) {
		if (!strcmp(kind->columns[i].name, "Age"))
			continue;
		if (json_is_string(v))
			n += (size_t)snprintf(got + n, sizeof(got) - n, "%s|", json_string_value(v));
		else if (json_is_boolean(v))
			n += (size_t)snprintf(got + n, sizeof(got) - n, "%s|", json_is_true(v) ? "true" : "false");
		else
			n += (size_t)snprintf(got + n, sizeof(got) - n, "%lld|", (long long)json_integer_value(v));
	}
	cr_assert_str_eq(got, want);
	json_decref(row);
	json_decref(obj);
}

Test(validate_kinds, columns_are_kubectls)
{
	cells(&api_kind_stateful_set, "{spec: {" STS ", replicas: 3}, status: {readyReplicas: 2}}", "x|2/3|c|i|");
	cells(&api_kind_daemon_set,
	      "{spec: {" SELECTOR ", " TEMPLATE "}, status: {desiredNumberScheduled: 3, numberReady: 1}}",
	      "x|3|0|1|0|0|<none>|c|i|a=b|");
	cells(&api_kind_job,
	      "{spec: {" SELECTOR ", " JOB
	      ", completions: 4}, status: {succeeded: 1, startTime: '2024-01-02T03:03:05Z', "
	      "conditions: [{type: Complete, status: 'True'}], completionTime: '2024-01-02T03:03:35Z'}}",
	      "x|Complete|1/4|30s|c|i|a=b|");
	cells(&api_kind_job, "spec: {" SELECTOR ", " JOB ", parallelism: 3}", "x|Running|0/1 of 3||c|i|a=b|");
	cells(&api_kind_cron_job,
	      "{spec: {schedule: '@daily', jobTemplate: {spec: {" JOB "}}}, status: {lastScheduleTime: "
	      "'2024-01-02T03:00:05Z', active: [{name: a}]}}",
	      "x|@daily|<none>|False|1|4m|c|i|<none>|");
	cells(&api_kind_horizontal_pod_autoscaler,
	      "{spec: {" REF
	      ", maxReplicas: 3}, status: {currentReplicas: 2, currentMetrics: [{type: Resource, resource: "
	      "{name: cpu, current: {averageUtilization: 12}}}]}}",
	      "x|Deployment/d|cpu: 12%/80%|1|3|2|");
	cells(&api_kind_horizontal_pod_autoscaler_v1,
	      "spec: {" REF ", maxReplicas: 3, targetCPUUtilizationPercentage: 5}",
	      "x|Deployment/d|cpu: <unknown>/5%|1|3|0|");
	cells(&api_kind_pod_disruption_budget, "spec: {maxUnavailable: 20%}", "x|N/A|20%|0|");
	cells(&api_kind_persistent_volume,
	      "{spec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteMany, ReadWriteOnce], hostPath: {path: /x}, "
	      "claimRef: {namespace: n, name: c}, storageClassName: slow}, status: {phase: Bound}}",
	      "x|1Gi|RWO,RWX|Retain|Bound|n/c|slow|<unset>||Filesystem|");
	cells(&api_kind_persistent_volume_claim,
	      "{spec: {" CLAIM ", volumeName: v}, status: {phase: Bound, capacity: {storage: 2Gi}, accessModes: "
	      "[ReadWriteOnce]}}",
	      "x|Bound|v|2Gi|RWO||<unset>|Filesystem|");
	cells(&api_kind_storage_class,
	      "{metadata: {annotations: {storageclass.kubernetes.io/is-default-class: 'true'}}, provisioner: p}",
	      "x (default)|p|Delete|Immediate|false|");
	cells(&api_kind_ingress,
	      "{spec: {rules: [{host: a}, {host: b}, {host: c}, {host: d}], tls: [{hosts: [a]}]}, status: {loadBalancer: "
	      "{ingress: [{ip: 1.2.3.4}, {hostname: h}]}}}",
	      "x|<none>|a,b,c + 1 more...|1.2.3.4,h|80, 443|");
	cells(&api_kind_endpoints,
	      "subsets: [{addresses: [{ip: 1.2.3.4}, {ip: 'fd00::1'}], ports: [{name: a, port: 1}, {name: b, port: 2}]}]",
	      "x|1.2.3.4:1,1.2.3.4:2,[fd00::1]:1 + 1 more...|");
	cells(&api_kind_controller_revision,
	      "{metadata: {ownerReferences: [{apiVersion: apps/v1, kind: StatefulSet, name: web, uid: u, controller: true}]}, "
	      "data: {}, revision: 3}",
	      "x|statefulset.apps/web|3|");
	cells(&api_kind_csi_driver, "spec: {tokenRequests: [{audience: a}, {}]}",
	      "x|true|false|false|a,|false|Persistent|");
}
