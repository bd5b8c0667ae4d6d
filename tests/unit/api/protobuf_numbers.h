/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Field numbers of Kubernetes' messages, as the descriptors within kubectl 1.33 give them (k8s.io/api's generated.proto
 * in compiled form): "name=number", with ":Message" where the value is one. Facts to compare the schema with; a newer
 * Kubernetes adds to them and changes none.
 */
#ifndef TEST_API_PROTOBUF_NUMBERS_H
#define TEST_API_PROTOBUF_NUMBERS_H

static const struct {
	const char *type, *fields;
} protobuf_numbers[] = {
	{ "io.k8s.api.core.v1.AWSElasticBlockStoreVolumeSource", "volumeID=1 fsType=2 partition=3 readOnly=4" },
	{ "io.k8s.api.core.v1.Affinity",
	  "nodeAffinity=1:NodeAffinity podAffinity=2:PodAffinity podAntiAffinity=3:PodAntiAffinity" },
	{ "io.k8s.api.core.v1.AppArmorProfile", "type=1 localhostProfile=2" },
	{ "io.k8s.api.core.v1.AttachedVolume", "name=1 devicePath=2" },
	{ "io.k8s.api.core.v1.AvoidPods", "preferAvoidPods=1" },
	{ "io.k8s.api.core.v1.AzureDiskVolumeSource", "diskName=1 diskURI=2 cachingMode=3 fsType=4 readOnly=5 kind=6" },
	{ "io.k8s.api.core.v1.AzureFilePersistentVolumeSource",
	  "secretName=1 shareName=2 readOnly=3 secretNamespace=4" },
	{ "io.k8s.api.core.v1.AzureFileVolumeSource", "secretName=1 shareName=2 readOnly=3" },
	{ "io.k8s.api.core.v1.Binding", "metadata=1:ObjectMeta target=2:ObjectReference" },
	{ "io.k8s.api.core.v1.CSIPersistentVolumeSource",
	  "driver=1 volumeHandle=2 readOnly=3 fsType=4 volumeAttributes=5"
	  " controllerPublishSecretRef=6:SecretReference nodeStageSecretRef=7:SecretReference"
	  " nodePublishSecretRef=8:SecretReference controllerExpandSecretRef=9:SecretReference"
	  " nodeExpandSecretRef=10:SecretReference" },
	{ "io.k8s.api.core.v1.CSIVolumeSource",
	  "driver=1 readOnly=2 fsType=3 volumeAttributes=4 nodePublishSecretRef=5:LocalObjectReference" },
	{ "io.k8s.api.core.v1.Capabilities", "add=1 drop=2" },
	{ "io.k8s.api.core.v1.CephFSPersistentVolumeSource",
	  "monitors=1 path=2 user=3 secretFile=4 secretRef=5:SecretReference readOnly=6" },
	{ "io.k8s.api.core.v1.CephFSVolumeSource",
	  "monitors=1 path=2 user=3 secretFile=4 secretRef=5:LocalObjectReference readOnly=6" },
	{ "io.k8s.api.core.v1.CinderPersistentVolumeSource",
	  "volumeID=1 fsType=2 readOnly=3 secretRef=4:SecretReference" },
	{ "io.k8s.api.core.v1.CinderVolumeSource", "volumeID=1 fsType=2 readOnly=3 secretRef=4:LocalObjectReference" },
	{ "io.k8s.api.core.v1.ClientIPConfig", "timeoutSeconds=1" },
	{ "io.k8s.api.core.v1.ClusterTrustBundleProjection",
	  "name=1 signerName=2 labelSelector=3:LabelSelector path=4 optional=5" },
	{ "io.k8s.api.core.v1.ComponentCondition", "type=1 status=2 message=3 error=4" },
	{ "io.k8s.api.core.v1.ComponentStatus", "metadata=1:ObjectMeta conditions=2:ComponentCondition" },
	{ "io.k8s.api.core.v1.ConfigMap", "metadata=1:ObjectMeta data=2 binaryData=3 immutable=4" },
	{ "io.k8s.api.core.v1.ConfigMapEnvSource", "localObjectReference=1:LocalObjectReference optional=2" },
	{ "io.k8s.api.core.v1.ConfigMapKeySelector", "localObjectReference=1:LocalObjectReference key=2 optional=3" },
	{ "io.k8s.api.core.v1.ConfigMapNodeConfigSource",
	  "namespace=1 name=2 uid=3 resourceVersion=4 kubeletConfigKey=5" },
	{ "io.k8s.api.core.v1.ConfigMapProjection",
	  "localObjectReference=1:LocalObjectReference items=2:KeyToPath optional=4" },
	{ "io.k8s.api.core.v1.ConfigMapVolumeSource",
	  "localObjectReference=1:LocalObjectReference items=2:KeyToPath defaultMode=3 optional=4" },
	{ "io.k8s.api.core.v1.Container",
	  "name=1 image=2 command=3 args=4 workingDir=5 ports=6:ContainerPort env=7:EnvVar"
	  " resources=8:ResourceRequirements volumeMounts=9:VolumeMount livenessProbe=10:Probe"
	  " readinessProbe=11:Probe lifecycle=12:Lifecycle terminationMessagePath=13 imagePullPolicy=14"
	  " securityContext=15:SecurityContext stdin=16 stdinOnce=17 tty=18 envFrom=19:EnvFromSource"
	  " terminationMessagePolicy=20 volumeDevices=21:VolumeDevice startupProbe=22:Probe"
	  " resizePolicy=23:ContainerResizePolicy restartPolicy=24" },
	{ "io.k8s.api.core.v1.ContainerImage", "names=1 sizeBytes=2" },
	{ "io.k8s.api.core.v1.ContainerPort", "name=1 hostPort=2 containerPort=3 protocol=4 hostIP=5" },
	{ "io.k8s.api.core.v1.ContainerResizePolicy", "resourceName=1 restartPolicy=2" },
	{ "io.k8s.api.core.v1.ContainerState", "waiting=1:ContainerStateWaiting running=2:ContainerStateRunning"
					       " terminated=3:ContainerStateTerminated" },
	{ "io.k8s.api.core.v1.ContainerStateRunning", "startedAt=1:Time" },
	{ "io.k8s.api.core.v1.ContainerStateTerminated",
	  "exitCode=1 signal=2 reason=3 message=4 startedAt=5:Time finishedAt=6:Time containerID=7" },
	{ "io.k8s.api.core.v1.ContainerStateWaiting", "reason=1 message=2" },
	{ "io.k8s.api.core.v1.ContainerStatus",
	  "name=1 state=2:ContainerState lastState=3:ContainerState ready=4 restartCount=5 image=6"
	  " imageID=7 containerID=8 started=9 allocatedResources=10 resources=11:ResourceRequirements"
	  " volumeMounts=12:VolumeMountStatus user=13:ContainerUser"
	  " allocatedResourcesStatus=14:ResourceStatus stopSignal=15" },
	{ "io.k8s.api.core.v1.ContainerUser", "linux=1:LinuxContainerUser" },
	{ "io.k8s.api.core.v1.DaemonEndpoint", "Port=1" },
	{ "io.k8s.api.core.v1.DownwardAPIProjection", "items=1:DownwardAPIVolumeFile" },
	{ "io.k8s.api.core.v1.DownwardAPIVolumeFile",
	  "path=1 fieldRef=2:ObjectFieldSelector resourceFieldRef=3:ResourceFieldSelector mode=4" },
	{ "io.k8s.api.core.v1.DownwardAPIVolumeSource", "items=1:DownwardAPIVolumeFile defaultMode=2" },
	{ "io.k8s.api.core.v1.EmptyDirVolumeSource", "medium=1 sizeLimit=2:Quantity" },
	{ "io.k8s.api.core.v1.EndpointAddress", "ip=1 targetRef=2:ObjectReference hostname=3 nodeName=4" },
	{ "io.k8s.api.core.v1.EndpointPort", "name=1 port=2 protocol=3 appProtocol=4" },
	{ "io.k8s.api.core.v1.EndpointSubset",
	  "addresses=1:EndpointAddress notReadyAddresses=2:EndpointAddress ports=3:EndpointPort" },
	{ "io.k8s.api.core.v1.Endpoints", "metadata=1:ObjectMeta subsets=2:EndpointSubset" },
	{ "io.k8s.api.core.v1.EnvFromSource",
	  "prefix=1 configMapRef=2:ConfigMapEnvSource secretRef=3:SecretEnvSource" },
	{ "io.k8s.api.core.v1.EnvVar", "name=1 value=2 valueFrom=3:EnvVarSource" },
	{ "io.k8s.api.core.v1.EnvVarSource",
	  "fieldRef=1:ObjectFieldSelector resourceFieldRef=2:ResourceFieldSelector"
	  " configMapKeyRef=3:ConfigMapKeySelector secretKeyRef=4:SecretKeySelector" },
	{ "io.k8s.api.core.v1.EphemeralContainer",
	  "ephemeralContainerCommon=1:EphemeralContainerCommon targetContainerName=2" },
	{ "io.k8s.api.core.v1.EphemeralContainerCommon",
	  "name=1 image=2 command=3 args=4 workingDir=5 ports=6:ContainerPort env=7:EnvVar"
	  " resources=8:ResourceRequirements volumeMounts=9:VolumeMount livenessProbe=10:Probe"
	  " readinessProbe=11:Probe lifecycle=12:Lifecycle terminationMessagePath=13 imagePullPolicy=14"
	  " securityContext=15:SecurityContext stdin=16 stdinOnce=17 tty=18 envFrom=19:EnvFromSource"
	  " terminationMessagePolicy=20 volumeDevices=21:VolumeDevice startupProbe=22:Probe"
	  " resizePolicy=23:ContainerResizePolicy restartPolicy=24" },
	{ "io.k8s.api.core.v1.EphemeralVolumeSource", "volumeClaimTemplate=1:PersistentVolumeClaimTemplate" },
	{ "io.k8s.api.core.v1.Event",
	  "metadata=1:ObjectMeta involvedObject=2:ObjectReference reason=3 message=4"
	  " source=5:EventSource firstTimestamp=6:Time lastTimestamp=7:Time count=8 type=9"
	  " eventTime=10:MicroTime series=11:EventSeries action=12 related=13:ObjectReference"
	  " reportingComponent=14 reportingInstance=15" },
	{ "io.k8s.api.core.v1.EventSeries", "count=1 lastObservedTime=2:MicroTime" },
	{ "io.k8s.api.core.v1.EventSource", "component=1 host=2" },
	{ "io.k8s.api.core.v1.ExecAction", "command=1" },
	{ "io.k8s.api.core.v1.FCVolumeSource", "targetWWNs=1 lun=2 fsType=3 readOnly=4 wwids=5" },
	{ "io.k8s.api.core.v1.FlexPersistentVolumeSource",
	  "driver=1 fsType=2 secretRef=3:SecretReference readOnly=4 options=5" },
	{ "io.k8s.api.core.v1.FlexVolumeSource",
	  "driver=1 fsType=2 secretRef=3:LocalObjectReference readOnly=4 options=5" },
	{ "io.k8s.api.core.v1.FlockerVolumeSource", "datasetName=1 datasetUUID=2" },
	{ "io.k8s.api.core.v1.GCEPersistentDiskVolumeSource", "pdName=1 fsType=2 partition=3 readOnly=4" },
	{ "io.k8s.api.core.v1.GRPCAction", "port=1 service=2" },
	{ "io.k8s.api.core.v1.GitRepoVolumeSource", "repository=1 revision=2 directory=3" },
	{ "io.k8s.api.core.v1.GlusterfsPersistentVolumeSource", "endpoints=1 path=2 readOnly=3 endpointsNamespace=4" },
	{ "io.k8s.api.core.v1.GlusterfsVolumeSource", "endpoints=1 path=2 readOnly=3" },
	{ "io.k8s.api.core.v1.HTTPGetAction", "path=1 port=2:IntOrString host=3 scheme=4 httpHeaders=5:HTTPHeader" },
	{ "io.k8s.api.core.v1.HTTPHeader", "name=1 value=2" },
	{ "io.k8s.api.core.v1.HostAlias", "ip=1 hostnames=2" },
	{ "io.k8s.api.core.v1.HostIP", "ip=1" },
	{ "io.k8s.api.core.v1.HostPathVolumeSource", "path=1 type=2" },
	{ "io.k8s.api.core.v1.ISCSIPersistentVolumeSource",
	  "targetPortal=1 iqn=2 lun=3 iscsiInterface=4 fsType=5 readOnly=6 portals=7"
	  " chapAuthDiscovery=8 secretRef=10:SecretReference chapAuthSession=11 initiatorName=12" },
	{ "io.k8s.api.core.v1.ISCSIVolumeSource",
	  "targetPortal=1 iqn=2 lun=3 iscsiInterface=4 fsType=5 readOnly=6 portals=7"
	  " chapAuthDiscovery=8 secretRef=10:LocalObjectReference chapAuthSession=11 initiatorName=12" },
	{ "io.k8s.api.core.v1.ImageVolumeSource", "reference=1 pullPolicy=2" },
	{ "io.k8s.api.core.v1.KeyToPath", "key=1 path=2 mode=3" },
	{ "io.k8s.api.core.v1.Lifecycle", "postStart=1:LifecycleHandler preStop=2:LifecycleHandler stopSignal=3" },
	{ "io.k8s.api.core.v1.LifecycleHandler",
	  "exec=1:ExecAction httpGet=2:HTTPGetAction tcpSocket=3:TCPSocketAction sleep=4:SleepAction" },
	{ "io.k8s.api.core.v1.LimitRange", "metadata=1:ObjectMeta spec=2:LimitRangeSpec" },
	{ "io.k8s.api.core.v1.LimitRangeItem", "type=1 max=2 min=3 default=4 defaultRequest=5 maxLimitRequestRatio=6" },
	{ "io.k8s.api.core.v1.LimitRangeSpec", "limits=1:LimitRangeItem" },
	{ "io.k8s.api.core.v1.LinuxContainerUser", "uid=1 gid=2 supplementalGroups=3" },
	{ "io.k8s.api.core.v1.LoadBalancerIngress", "ip=1 hostname=2 ipMode=3 ports=4:PortStatus" },
	{ "io.k8s.api.core.v1.LoadBalancerStatus", "ingress=1:LoadBalancerIngress" },
	{ "io.k8s.api.core.v1.LocalObjectReference", "name=1" },
	{ "io.k8s.api.core.v1.LocalVolumeSource", "path=1 fsType=2" },
	{ "io.k8s.api.core.v1.ModifyVolumeStatus", "targetVolumeAttributesClassName=1 status=2" },
	{ "io.k8s.api.core.v1.NFSVolumeSource", "server=1 path=2 readOnly=3" },
	{ "io.k8s.api.core.v1.Namespace", "metadata=1:ObjectMeta spec=2:NamespaceSpec status=3:NamespaceStatus" },
	{ "io.k8s.api.core.v1.NamespaceCondition", "type=1 status=2 lastTransitionTime=4:Time reason=5 message=6" },
	{ "io.k8s.api.core.v1.NamespaceSpec", "finalizers=1" },
	{ "io.k8s.api.core.v1.NamespaceStatus", "phase=1 conditions=2:NamespaceCondition" },
	{ "io.k8s.api.core.v1.Node", "metadata=1:ObjectMeta spec=2:NodeSpec status=3:NodeStatus" },
	{ "io.k8s.api.core.v1.NodeAddress", "type=1 address=2" },
	{ "io.k8s.api.core.v1.NodeAffinity",
	  "requiredDuringSchedulingIgnoredDuringExecution=1:NodeSelector"
	  " preferredDuringSchedulingIgnoredDuringExecution=2:PreferredSchedulingTerm" },
	{ "io.k8s.api.core.v1.NodeCondition",
	  "type=1 status=2 lastHeartbeatTime=3:Time lastTransitionTime=4:Time reason=5 message=6" },
	{ "io.k8s.api.core.v1.NodeConfigSource", "configMap=2:ConfigMapNodeConfigSource" },
	{ "io.k8s.api.core.v1.NodeConfigStatus",
	  "assigned=1:NodeConfigSource active=2:NodeConfigSource lastKnownGood=3:NodeConfigSource"
	  " error=4" },
	{ "io.k8s.api.core.v1.NodeDaemonEndpoints", "kubeletEndpoint=1:DaemonEndpoint" },
	{ "io.k8s.api.core.v1.NodeFeatures", "supplementalGroupsPolicy=1" },
	{ "io.k8s.api.core.v1.NodeProxyOptions", "path=1" },
	{ "io.k8s.api.core.v1.NodeRuntimeHandler", "name=1 features=2:NodeRuntimeHandlerFeatures" },
	{ "io.k8s.api.core.v1.NodeRuntimeHandlerFeatures", "recursiveReadOnlyMounts=1 userNamespaces=2" },
	{ "io.k8s.api.core.v1.NodeSelector", "nodeSelectorTerms=1:NodeSelectorTerm" },
	{ "io.k8s.api.core.v1.NodeSelectorRequirement", "key=1 operator=2 values=3" },
	{ "io.k8s.api.core.v1.NodeSelectorTerm",
	  "matchExpressions=1:NodeSelectorRequirement matchFields=2:NodeSelectorRequirement" },
	{ "io.k8s.api.core.v1.NodeSpec", "podCIDR=1 externalID=2 providerID=3 unschedulable=4 taints=5:Taint"
					 " configSource=6:NodeConfigSource podCIDRs=7" },
	{ "io.k8s.api.core.v1.NodeStatus",
	  "capacity=1 allocatable=2 phase=3 conditions=4:NodeCondition addresses=5:NodeAddress"
	  " daemonEndpoints=6:NodeDaemonEndpoints nodeInfo=7:NodeSystemInfo images=8:ContainerImage"
	  " volumesInUse=9 volumesAttached=10:AttachedVolume config=11:NodeConfigStatus"
	  " runtimeHandlers=12:NodeRuntimeHandler features=13:NodeFeatures" },
	{ "io.k8s.api.core.v1.NodeSwapStatus", "capacity=1" },
	{ "io.k8s.api.core.v1.NodeSystemInfo",
	  "machineID=1 systemUUID=2 bootID=3 kernelVersion=4 osImage=5 containerRuntimeVersion=6"
	  " kubeletVersion=7 kubeProxyVersion=8 operatingSystem=9 architecture=10"
	  " swap=11:NodeSwapStatus" },
	{ "io.k8s.api.core.v1.ObjectFieldSelector", "apiVersion=1 fieldPath=2" },
	{ "io.k8s.api.core.v1.ObjectReference",
	  "kind=1 namespace=2 name=3 uid=4 apiVersion=5 resourceVersion=6 fieldPath=7" },
	{ "io.k8s.api.core.v1.PersistentVolume",
	  "metadata=1:ObjectMeta spec=2:PersistentVolumeSpec status=3:PersistentVolumeStatus" },
	{ "io.k8s.api.core.v1.PersistentVolumeClaim",
	  "metadata=1:ObjectMeta spec=2:PersistentVolumeClaimSpec status=3:PersistentVolumeClaimStatus" },
	{ "io.k8s.api.core.v1.PersistentVolumeClaimCondition",
	  "type=1 status=2 lastProbeTime=3:Time lastTransitionTime=4:Time reason=5 message=6" },
	{ "io.k8s.api.core.v1.PersistentVolumeClaimSpec",
	  "accessModes=1 resources=2:VolumeResourceRequirements volumeName=3 selector=4:LabelSelector"
	  " storageClassName=5 volumeMode=6 dataSource=7:TypedLocalObjectReference"
	  " dataSourceRef=8:TypedObjectReference volumeAttributesClassName=9" },
	{ "io.k8s.api.core.v1.PersistentVolumeClaimStatus",
	  "phase=1 accessModes=2 capacity=3 conditions=4:PersistentVolumeClaimCondition"
	  " allocatedResources=5 allocatedResourceStatuses=7 currentVolumeAttributesClassName=8"
	  " modifyVolumeStatus=9:ModifyVolumeStatus" },
	{ "io.k8s.api.core.v1.PersistentVolumeClaimTemplate",
	  "metadata=1:ObjectMeta spec=2:PersistentVolumeClaimSpec" },
	{ "io.k8s.api.core.v1.PersistentVolumeClaimVolumeSource", "claimName=1 readOnly=2" },
	{ "io.k8s.api.core.v1.PersistentVolumeSource",
	  "gcePersistentDisk=1:GCEPersistentDiskVolumeSource"
	  " awsElasticBlockStore=2:AWSElasticBlockStoreVolumeSource hostPath=3:HostPathVolumeSource"
	  " glusterfs=4:GlusterfsPersistentVolumeSource nfs=5:NFSVolumeSource"
	  " rbd=6:RBDPersistentVolumeSource iscsi=7:ISCSIPersistentVolumeSource"
	  " cinder=8:CinderPersistentVolumeSource cephfs=9:CephFSPersistentVolumeSource"
	  " fc=10:FCVolumeSource flocker=11:FlockerVolumeSource"
	  " flexVolume=12:FlexPersistentVolumeSource azureFile=13:AzureFilePersistentVolumeSource"
	  " vsphereVolume=14:VsphereVirtualDiskVolumeSource quobyte=15:QuobyteVolumeSource"
	  " azureDisk=16:AzureDiskVolumeSource photonPersistentDisk=17:PhotonPersistentDiskVolumeSource"
	  " portworxVolume=18:PortworxVolumeSource scaleIO=19:ScaleIOPersistentVolumeSource"
	  " local=20:LocalVolumeSource storageos=21:StorageOSPersistentVolumeSource"
	  " csi=22:CSIPersistentVolumeSource" },
	{ "io.k8s.api.core.v1.PersistentVolumeSpec",
	  "capacity=1 persistentVolumeSource=2:PersistentVolumeSource accessModes=3"
	  " claimRef=4:ObjectReference persistentVolumeReclaimPolicy=5 storageClassName=6"
	  " mountOptions=7 volumeMode=8 nodeAffinity=9:VolumeNodeAffinity volumeAttributesClassName=10" },
	{ "io.k8s.api.core.v1.PersistentVolumeStatus", "phase=1 message=2 reason=3 lastPhaseTransitionTime=4:Time" },
	{ "io.k8s.api.core.v1.PhotonPersistentDiskVolumeSource", "pdID=1 fsType=2" },
	{ "io.k8s.api.core.v1.Pod", "metadata=1:ObjectMeta spec=2:PodSpec status=3:PodStatus" },
	{ "io.k8s.api.core.v1.PodAffinity",
	  "requiredDuringSchedulingIgnoredDuringExecution=1:PodAffinityTerm"
	  " preferredDuringSchedulingIgnoredDuringExecution=2:WeightedPodAffinityTerm" },
	{ "io.k8s.api.core.v1.PodAffinityTerm",
	  "labelSelector=1:LabelSelector namespaces=2 topologyKey=3 namespaceSelector=4:LabelSelector"
	  " matchLabelKeys=5 mismatchLabelKeys=6" },
	{ "io.k8s.api.core.v1.PodAntiAffinity",
	  "requiredDuringSchedulingIgnoredDuringExecution=1:PodAffinityTerm"
	  " preferredDuringSchedulingIgnoredDuringExecution=2:WeightedPodAffinityTerm" },
	{ "io.k8s.api.core.v1.PodAttachOptions", "stdin=1 stdout=2 stderr=3 tty=4 container=5" },
	{ "io.k8s.api.core.v1.PodCondition",
	  "type=1 status=2 lastProbeTime=3:Time lastTransitionTime=4:Time reason=5 message=6"
	  " observedGeneration=7" },
	{ "io.k8s.api.core.v1.PodDNSConfig", "nameservers=1 searches=2 options=3:PodDNSConfigOption" },
	{ "io.k8s.api.core.v1.PodDNSConfigOption", "name=1 value=2" },
	{ "io.k8s.api.core.v1.PodExecOptions", "stdin=1 stdout=2 stderr=3 tty=4 container=5 command=6" },
	{ "io.k8s.api.core.v1.PodIP", "ip=1" },
	{ "io.k8s.api.core.v1.PodLogOptions",
	  "container=1 follow=2 previous=3 sinceSeconds=4 sinceTime=5:Time timestamps=6 tailLines=7"
	  " limitBytes=8 insecureSkipTLSVerifyBackend=9 stream=10" },
	{ "io.k8s.api.core.v1.PodOS", "name=1" },
	{ "io.k8s.api.core.v1.PodPortForwardOptions", "ports=1" },
	{ "io.k8s.api.core.v1.PodProxyOptions", "path=1" },
	{ "io.k8s.api.core.v1.PodReadinessGate", "conditionType=1" },
	{ "io.k8s.api.core.v1.PodResourceClaim", "name=1 resourceClaimName=3 resourceClaimTemplateName=4" },
	{ "io.k8s.api.core.v1.PodResourceClaimStatus", "name=1 resourceClaimName=2" },
	{ "io.k8s.api.core.v1.PodSchedulingGate", "name=1" },
	{ "io.k8s.api.core.v1.PodSecurityContext",
	  "seLinuxOptions=1:SELinuxOptions runAsUser=2 runAsNonRoot=3 supplementalGroups=4 fsGroup=5"
	  " runAsGroup=6 sysctls=7:Sysctl windowsOptions=8:WindowsSecurityContextOptions"
	  " fsGroupChangePolicy=9 seccompProfile=10:SeccompProfile appArmorProfile=11:AppArmorProfile"
	  " supplementalGroupsPolicy=12 seLinuxChangePolicy=13" },
	{ "io.k8s.api.core.v1.PodSignature", "podController=1:OwnerReference" },
	{ "io.k8s.api.core.v1.PodSpec",
	  "volumes=1:Volume containers=2:Container restartPolicy=3 terminationGracePeriodSeconds=4"
	  " activeDeadlineSeconds=5 dnsPolicy=6 nodeSelector=7 serviceAccountName=8 serviceAccount=9"
	  " nodeName=10 hostNetwork=11 hostPID=12 hostIPC=13 securityContext=14:PodSecurityContext"
	  " imagePullSecrets=15:LocalObjectReference hostname=16 subdomain=17 affinity=18:Affinity"
	  " schedulerName=19 initContainers=20:Container automountServiceAccountToken=21"
	  " tolerations=22:Toleration hostAliases=23:HostAlias priorityClassName=24 priority=25"
	  " dnsConfig=26:PodDNSConfig shareProcessNamespace=27 readinessGates=28:PodReadinessGate"
	  " runtimeClassName=29 enableServiceLinks=30 preemptionPolicy=31 overhead=32"
	  " topologySpreadConstraints=33:TopologySpreadConstraint"
	  " ephemeralContainers=34:EphemeralContainer setHostnameAsFQDN=35 os=36:PodOS hostUsers=37"
	  " schedulingGates=38:PodSchedulingGate resourceClaims=39:PodResourceClaim"
	  " resources=40:ResourceRequirements" },
	{ "io.k8s.api.core.v1.PodStatus",
	  "phase=1 conditions=2:PodCondition message=3 reason=4 hostIP=5 podIP=6 startTime=7:Time"
	  " containerStatuses=8:ContainerStatus qosClass=9 initContainerStatuses=10:ContainerStatus"
	  " nominatedNodeName=11 podIPs=12:PodIP ephemeralContainerStatuses=13:ContainerStatus"
	  " resize=14 resourceClaimStatuses=15:PodResourceClaimStatus hostIPs=16:HostIP"
	  " observedGeneration=17" },
	{ "io.k8s.api.core.v1.PodStatusResult", "metadata=1:ObjectMeta status=2:PodStatus" },
	{ "io.k8s.api.core.v1.PodTemplate", "metadata=1:ObjectMeta template=2:PodTemplateSpec" },
	{ "io.k8s.api.core.v1.PodTemplateSpec", "metadata=1:ObjectMeta spec=2:PodSpec" },
	{ "io.k8s.api.core.v1.PortStatus", "port=1 protocol=2 error=3" },
	{ "io.k8s.api.core.v1.PortworxVolumeSource", "volumeID=1 fsType=2 readOnly=3" },
	{ "io.k8s.api.core.v1.Preconditions", "uid=1" },
	{ "io.k8s.api.core.v1.PreferAvoidPodsEntry",
	  "podSignature=1:PodSignature evictionTime=2:Time reason=3 message=4" },
	{ "io.k8s.api.core.v1.PreferredSchedulingTerm", "weight=1 preference=2:NodeSelectorTerm" },
	{ "io.k8s.api.core.v1.Probe", "handler=1:ProbeHandler initialDelaySeconds=2 timeoutSeconds=3 periodSeconds=4"
				      " successThreshold=5 failureThreshold=6 terminationGracePeriodSeconds=7" },
	{ "io.k8s.api.core.v1.ProbeHandler",
	  "exec=1:ExecAction httpGet=2:HTTPGetAction tcpSocket=3:TCPSocketAction grpc=4:GRPCAction" },
	{ "io.k8s.api.core.v1.ProjectedVolumeSource", "sources=1:VolumeProjection defaultMode=2" },
	{ "io.k8s.api.core.v1.QuobyteVolumeSource", "registry=1 volume=2 readOnly=3 user=4 group=5 tenant=6" },
	{ "io.k8s.api.core.v1.RBDPersistentVolumeSource",
	  "monitors=1 image=2 fsType=3 pool=4 user=5 keyring=6 secretRef=7:SecretReference readOnly=8" },
	{ "io.k8s.api.core.v1.RBDVolumeSource",
	  "monitors=1 image=2 fsType=3 pool=4 user=5 keyring=6 secretRef=7:LocalObjectReference"
	  " readOnly=8" },
	{ "io.k8s.api.core.v1.RangeAllocation", "metadata=1:ObjectMeta range=2 data=3" },
	{ "io.k8s.api.core.v1.ReplicationController",
	  "metadata=1:ObjectMeta spec=2:ReplicationControllerSpec status=3:ReplicationControllerStatus" },
	{ "io.k8s.api.core.v1.ReplicationControllerCondition",
	  "type=1 status=2 lastTransitionTime=3:Time reason=4 message=5" },
	{ "io.k8s.api.core.v1.ReplicationControllerSpec",
	  "replicas=1 selector=2 template=3:PodTemplateSpec minReadySeconds=4" },
	{ "io.k8s.api.core.v1.ReplicationControllerStatus",
	  "replicas=1 fullyLabeledReplicas=2 observedGeneration=3 readyReplicas=4 availableReplicas=5"
	  " conditions=6:ReplicationControllerCondition" },
	{ "io.k8s.api.core.v1.ResourceClaim", "name=1 request=2" },
	{ "io.k8s.api.core.v1.ResourceFieldSelector", "containerName=1 resource=2 divisor=3:Quantity" },
	{ "io.k8s.api.core.v1.ResourceHealth", "resourceID=1 health=2" },
	{ "io.k8s.api.core.v1.ResourceQuota",
	  "metadata=1:ObjectMeta spec=2:ResourceQuotaSpec status=3:ResourceQuotaStatus" },
	{ "io.k8s.api.core.v1.ResourceQuotaSpec", "hard=1 scopes=2 scopeSelector=3:ScopeSelector" },
	{ "io.k8s.api.core.v1.ResourceQuotaStatus", "hard=1 used=2" },
	{ "io.k8s.api.core.v1.ResourceRequirements", "limits=1 requests=2 claims=3:ResourceClaim" },
	{ "io.k8s.api.core.v1.ResourceStatus", "name=1 resources=2:ResourceHealth" },
	{ "io.k8s.api.core.v1.SELinuxOptions", "user=1 role=2 type=3 level=4" },
	{ "io.k8s.api.core.v1.ScaleIOPersistentVolumeSource",
	  "gateway=1 system=2 secretRef=3:SecretReference sslEnabled=4 protectionDomain=5 storagePool=6"
	  " storageMode=7 volumeName=8 fsType=9 readOnly=10" },
	{ "io.k8s.api.core.v1.ScaleIOVolumeSource",
	  "gateway=1 system=2 secretRef=3:LocalObjectReference sslEnabled=4 protectionDomain=5"
	  " storagePool=6 storageMode=7 volumeName=8 fsType=9 readOnly=10" },
	{ "io.k8s.api.core.v1.ScopeSelector", "matchExpressions=1:ScopedResourceSelectorRequirement" },
	{ "io.k8s.api.core.v1.ScopedResourceSelectorRequirement", "scopeName=1 operator=2 values=3" },
	{ "io.k8s.api.core.v1.SeccompProfile", "type=1 localhostProfile=2" },
	{ "io.k8s.api.core.v1.Secret", "metadata=1:ObjectMeta data=2 type=3 stringData=4 immutable=5" },
	{ "io.k8s.api.core.v1.SecretEnvSource", "localObjectReference=1:LocalObjectReference optional=2" },
	{ "io.k8s.api.core.v1.SecretKeySelector", "localObjectReference=1:LocalObjectReference key=2 optional=3" },
	{ "io.k8s.api.core.v1.SecretProjection",
	  "localObjectReference=1:LocalObjectReference items=2:KeyToPath optional=4" },
	{ "io.k8s.api.core.v1.SecretReference", "name=1 namespace=2" },
	{ "io.k8s.api.core.v1.SecretVolumeSource", "secretName=1 items=2:KeyToPath defaultMode=3 optional=4" },
	{ "io.k8s.api.core.v1.SecurityContext",
	  "capabilities=1:Capabilities privileged=2 seLinuxOptions=3:SELinuxOptions runAsUser=4"
	  " runAsNonRoot=5 readOnlyRootFilesystem=6 allowPrivilegeEscalation=7 runAsGroup=8 procMount=9"
	  " windowsOptions=10:WindowsSecurityContextOptions seccompProfile=11:SeccompProfile"
	  " appArmorProfile=12:AppArmorProfile" },
	{ "io.k8s.api.core.v1.SerializedReference", "reference=1:ObjectReference" },
	{ "io.k8s.api.core.v1.Service", "metadata=1:ObjectMeta spec=2:ServiceSpec status=3:ServiceStatus" },
	{ "io.k8s.api.core.v1.ServiceAccount",
	  "metadata=1:ObjectMeta secrets=2:ObjectReference imagePullSecrets=3:LocalObjectReference"
	  " automountServiceAccountToken=4" },
	{ "io.k8s.api.core.v1.ServiceAccountTokenProjection", "audience=1 expirationSeconds=2 path=3" },
	{ "io.k8s.api.core.v1.ServicePort",
	  "name=1 protocol=2 port=3 targetPort=4:IntOrString nodePort=5 appProtocol=6" },
	{ "io.k8s.api.core.v1.ServiceProxyOptions", "path=1" },
	{ "io.k8s.api.core.v1.ServiceSpec",
	  "ports=1:ServicePort selector=2 clusterIP=3 type=4 externalIPs=5 sessionAffinity=7"
	  " loadBalancerIP=8 loadBalancerSourceRanges=9 externalName=10 externalTrafficPolicy=11"
	  " healthCheckNodePort=12 publishNotReadyAddresses=13"
	  " sessionAffinityConfig=14:SessionAffinityConfig ipFamilyPolicy=17 clusterIPs=18"
	  " ipFamilies=19 allocateLoadBalancerNodePorts=20 loadBalancerClass=21"
	  " internalTrafficPolicy=22 trafficDistribution=23" },
	{ "io.k8s.api.core.v1.ServiceStatus", "loadBalancer=1:LoadBalancerStatus conditions=2:Condition" },
	{ "io.k8s.api.core.v1.SessionAffinityConfig", "clientIP=1:ClientIPConfig" },
	{ "io.k8s.api.core.v1.SleepAction", "seconds=1" },
	{ "io.k8s.api.core.v1.StorageOSPersistentVolumeSource",
	  "volumeName=1 volumeNamespace=2 fsType=3 readOnly=4 secretRef=5:ObjectReference" },
	{ "io.k8s.api.core.v1.StorageOSVolumeSource",
	  "volumeName=1 volumeNamespace=2 fsType=3 readOnly=4 secretRef=5:LocalObjectReference" },
	{ "io.k8s.api.core.v1.Sysctl", "name=1 value=2" },
	{ "io.k8s.api.core.v1.TCPSocketAction", "port=1:IntOrString host=2" },
	{ "io.k8s.api.core.v1.Taint", "key=1 value=2 effect=3 timeAdded=4:Time" },
	{ "io.k8s.api.core.v1.Toleration", "key=1 operator=2 value=3 effect=4 tolerationSeconds=5" },
	{ "io.k8s.api.core.v1.TopologySelectorLabelRequirement", "key=1 values=2" },
	{ "io.k8s.api.core.v1.TopologySelectorTerm", "matchLabelExpressions=1:TopologySelectorLabelRequirement" },
	{ "io.k8s.api.core.v1.TopologySpreadConstraint",
	  "maxSkew=1 topologyKey=2 whenUnsatisfiable=3 labelSelector=4:LabelSelector minDomains=5"
	  " nodeAffinityPolicy=6 nodeTaintsPolicy=7 matchLabelKeys=8" },
	{ "io.k8s.api.core.v1.TypedLocalObjectReference", "apiGroup=1 kind=2 name=3" },
	{ "io.k8s.api.core.v1.TypedObjectReference", "apiGroup=1 kind=2 name=3 namespace=4" },
	{ "io.k8s.api.core.v1.Volume", "name=1 volumeSource=2:VolumeSource" },
	{ "io.k8s.api.core.v1.VolumeDevice", "name=1 devicePath=2" },
	{ "io.k8s.api.core.v1.VolumeMount",
	  "name=1 readOnly=2 mountPath=3 subPath=4 mountPropagation=5 subPathExpr=6 recursiveReadOnly=7" },
	{ "io.k8s.api.core.v1.VolumeMountStatus", "name=1 mountPath=2 readOnly=3 recursiveReadOnly=4" },
	{ "io.k8s.api.core.v1.VolumeNodeAffinity", "required=1:NodeSelector" },
	{ "io.k8s.api.core.v1.VolumeProjection",
	  "secret=1:SecretProjection downwardAPI=2:DownwardAPIProjection"
	  " configMap=3:ConfigMapProjection serviceAccountToken=4:ServiceAccountTokenProjection"
	  " clusterTrustBundle=5:ClusterTrustBundleProjection" },
	{ "io.k8s.api.core.v1.VolumeResourceRequirements", "limits=1 requests=2" },
	{ "io.k8s.api.core.v1.VolumeSource",
	  "hostPath=1:HostPathVolumeSource emptyDir=2:EmptyDirVolumeSource"
	  " gcePersistentDisk=3:GCEPersistentDiskVolumeSource"
	  " awsElasticBlockStore=4:AWSElasticBlockStoreVolumeSource gitRepo=5:GitRepoVolumeSource"
	  " secret=6:SecretVolumeSource nfs=7:NFSVolumeSource iscsi=8:ISCSIVolumeSource"
	  " glusterfs=9:GlusterfsVolumeSource"
	  " persistentVolumeClaim=10:PersistentVolumeClaimVolumeSource rbd=11:RBDVolumeSource"
	  " flexVolume=12:FlexVolumeSource cinder=13:CinderVolumeSource cephfs=14:CephFSVolumeSource"
	  " flocker=15:FlockerVolumeSource downwardAPI=16:DownwardAPIVolumeSource fc=17:FCVolumeSource"
	  " azureFile=18:AzureFileVolumeSource configMap=19:ConfigMapVolumeSource"
	  " vsphereVolume=20:VsphereVirtualDiskVolumeSource quobyte=21:QuobyteVolumeSource"
	  " azureDisk=22:AzureDiskVolumeSource photonPersistentDisk=23:PhotonPersistentDiskVolumeSource"
	  " portworxVolume=24:PortworxVolumeSource scaleIO=25:ScaleIOVolumeSource"
	  " projected=26:ProjectedVolumeSource storageos=27:StorageOSVolumeSource"
	  " csi=28:CSIVolumeSource ephemeral=29:EphemeralVolumeSource image=30:ImageVolumeSource" },
	{ "io.k8s.api.core.v1.VsphereVirtualDiskVolumeSource",
	  "volumePath=1 fsType=2 storagePolicyName=3 storagePolicyID=4" },
	{ "io.k8s.api.core.v1.WeightedPodAffinityTerm", "weight=1 podAffinityTerm=2:PodAffinityTerm" },
	{ "io.k8s.api.core.v1.WindowsSecurityContextOptions",
	  "gmsaCredentialSpecName=1 gmsaCredentialSpec=2 runAsUserName=3 hostProcess=4" },
	{ "io.k8s.api.apps.v1.ControllerRevision", "metadata=1:ObjectMeta data=2:RawExtension revision=3" },
	{ "io.k8s.api.apps.v1.DaemonSet", "metadata=1:ObjectMeta spec=2:DaemonSetSpec status=3:DaemonSetStatus" },
	{ "io.k8s.api.apps.v1.DaemonSetCondition", "type=1 status=2 lastTransitionTime=3:Time reason=4 message=5" },
	{ "io.k8s.api.apps.v1.DaemonSetSpec",
	  "selector=1:LabelSelector template=2:PodTemplateSpec updateStrategy=3:DaemonSetUpdateStrategy"
	  " minReadySeconds=4 revisionHistoryLimit=6" },
	{ "io.k8s.api.apps.v1.DaemonSetStatus",
	  "currentNumberScheduled=1 numberMisscheduled=2 desiredNumberScheduled=3 numberReady=4"
	  " observedGeneration=5 updatedNumberScheduled=6 numberAvailable=7 numberUnavailable=8"
	  " collisionCount=9 conditions=10:DaemonSetCondition" },
	{ "io.k8s.api.apps.v1.DaemonSetUpdateStrategy", "type=1 rollingUpdate=2:RollingUpdateDaemonSet" },
	{ "io.k8s.api.apps.v1.Deployment", "metadata=1:ObjectMeta spec=2:DeploymentSpec status=3:DeploymentStatus" },
	{ "io.k8s.api.apps.v1.DeploymentCondition",
	  "type=1 status=2 reason=4 message=5 lastUpdateTime=6:Time lastTransitionTime=7:Time" },
	{ "io.k8s.api.apps.v1.DeploymentSpec",
	  "replicas=1 selector=2:LabelSelector template=3:PodTemplateSpec strategy=4:DeploymentStrategy"
	  " minReadySeconds=5 revisionHistoryLimit=6 paused=7 progressDeadlineSeconds=9" },
	{ "io.k8s.api.apps.v1.DeploymentStatus",
	  "observedGeneration=1 replicas=2 updatedReplicas=3 availableReplicas=4 unavailableReplicas=5"
	  " conditions=6:DeploymentCondition readyReplicas=7 collisionCount=8 terminatingReplicas=9" },
	{ "io.k8s.api.apps.v1.DeploymentStrategy", "type=1 rollingUpdate=2:RollingUpdateDeployment" },
	{ "io.k8s.api.apps.v1.ReplicaSet", "metadata=1:ObjectMeta spec=2:ReplicaSetSpec status=3:ReplicaSetStatus" },
	{ "io.k8s.api.apps.v1.ReplicaSetCondition", "type=1 status=2 lastTransitionTime=3:Time reason=4 message=5" },
	{ "io.k8s.api.apps.v1.ReplicaSetSpec",
	  "replicas=1 selector=2:LabelSelector template=3:PodTemplateSpec minReadySeconds=4" },
	{ "io.k8s.api.apps.v1.ReplicaSetStatus",
	  "replicas=1 fullyLabeledReplicas=2 observedGeneration=3 readyReplicas=4 availableReplicas=5"
	  " conditions=6:ReplicaSetCondition terminatingReplicas=7" },
	{ "io.k8s.api.apps.v1.RollingUpdateDaemonSet", "maxUnavailable=1:IntOrString maxSurge=2:IntOrString" },
	{ "io.k8s.api.apps.v1.RollingUpdateDeployment", "maxUnavailable=1:IntOrString maxSurge=2:IntOrString" },
	{ "io.k8s.api.apps.v1.RollingUpdateStatefulSetStrategy", "partition=1 maxUnavailable=2:IntOrString" },
	{ "io.k8s.api.apps.v1.StatefulSet", "metadata=1:ObjectMeta spec=2:StatefulSetSpec status=3:StatefulSetStatus" },
	{ "io.k8s.api.apps.v1.StatefulSetCondition", "type=1 status=2 lastTransitionTime=3:Time reason=4 message=5" },
	{ "io.k8s.api.apps.v1.StatefulSetOrdinals", "start=1" },
	{ "io.k8s.api.apps.v1.StatefulSetPersistentVolumeClaimRetentionPolicy", "whenDeleted=1 whenScaled=2" },
	{ "io.k8s.api.apps.v1.StatefulSetSpec",
	  "replicas=1 selector=2:LabelSelector template=3:PodTemplateSpec"
	  " volumeClaimTemplates=4:PersistentVolumeClaim serviceName=5 podManagementPolicy=6"
	  " updateStrategy=7:StatefulSetUpdateStrategy revisionHistoryLimit=8 minReadySeconds=9"
	  " persistentVolumeClaimRetentionPolicy=10:StatefulSetPersistentVolumeClaimRetentionPolicy"
	  " ordinals=11:StatefulSetOrdinals" },
	{ "io.k8s.api.apps.v1.StatefulSetStatus",
	  "observedGeneration=1 replicas=2 readyReplicas=3 currentReplicas=4 updatedReplicas=5"
	  " currentRevision=6 updateRevision=7 collisionCount=9 conditions=10:StatefulSetCondition"
	  " availableReplicas=11" },
	{ "io.k8s.api.apps.v1.StatefulSetUpdateStrategy", "type=1 rollingUpdate=2:RollingUpdateStatefulSetStrategy" },
	{ "io.k8s.api.batch.v1.CronJob", "metadata=1:ObjectMeta spec=2:CronJobSpec status=3:CronJobStatus" },
	{ "io.k8s.api.batch.v1.CronJobSpec",
	  "schedule=1 startingDeadlineSeconds=2 concurrencyPolicy=3 suspend=4"
	  " jobTemplate=5:JobTemplateSpec successfulJobsHistoryLimit=6 failedJobsHistoryLimit=7"
	  " timeZone=8" },
	{ "io.k8s.api.batch.v1.CronJobStatus",
	  "active=1:ObjectReference lastScheduleTime=4:Time lastSuccessfulTime=5:Time" },
	{ "io.k8s.api.batch.v1.Job", "metadata=1:ObjectMeta spec=2:JobSpec status=3:JobStatus" },
	{ "io.k8s.api.batch.v1.JobCondition",
	  "type=1 status=2 lastProbeTime=3:Time lastTransitionTime=4:Time reason=5 message=6" },
	{ "io.k8s.api.batch.v1.JobSpec",
	  "parallelism=1 completions=2 activeDeadlineSeconds=3 selector=4:LabelSelector"
	  " manualSelector=5 template=6:PodTemplateSpec backoffLimit=7 ttlSecondsAfterFinished=8"
	  " completionMode=9 suspend=10 podFailurePolicy=11:PodFailurePolicy backoffLimitPerIndex=12"
	  " maxFailedIndexes=13 podReplacementPolicy=14 managedBy=15 successPolicy=16:SuccessPolicy" },
	{ "io.k8s.api.batch.v1.JobStatus",
	  "conditions=1:JobCondition startTime=2:Time completionTime=3:Time active=4 succeeded=5"
	  " failed=6 completedIndexes=7 uncountedTerminatedPods=8:UncountedTerminatedPods ready=9"
	  " failedIndexes=10 terminating=11" },
	{ "io.k8s.api.batch.v1.JobTemplateSpec", "metadata=1:ObjectMeta spec=2:JobSpec" },
	{ "io.k8s.api.batch.v1.PodFailurePolicy", "rules=1:PodFailurePolicyRule" },
	{ "io.k8s.api.batch.v1.PodFailurePolicyOnExitCodesRequirement", "containerName=1 operator=2 values=3" },
	{ "io.k8s.api.batch.v1.PodFailurePolicyOnPodConditionsPattern", "type=1 status=2" },
	{ "io.k8s.api.batch.v1.PodFailurePolicyRule", "action=1 onExitCodes=2:PodFailurePolicyOnExitCodesRequirement"
						      " onPodConditions=3:PodFailurePolicyOnPodConditionsPattern" },
	{ "io.k8s.api.batch.v1.SuccessPolicy", "rules=1:SuccessPolicyRule" },
	{ "io.k8s.api.batch.v1.SuccessPolicyRule", "succeededIndexes=1 succeededCount=2" },
	{ "io.k8s.api.batch.v1.UncountedTerminatedPods", "succeeded=1 failed=2" },
	{ "io.k8s.api.autoscaling.v1.ContainerResourceMetricSource",
	  "name=1 targetAverageUtilization=2 targetAverageValue=3:Quantity container=5" },
	{ "io.k8s.api.autoscaling.v1.ContainerResourceMetricStatus",
	  "name=1 currentAverageUtilization=2 currentAverageValue=3:Quantity container=4" },
	{ "io.k8s.api.autoscaling.v1.CrossVersionObjectReference", "kind=1 name=2 apiVersion=3" },
	{ "io.k8s.api.autoscaling.v1.ExternalMetricSource",
	  "metricName=1 metricSelector=2:LabelSelector targetValue=3:Quantity"
	  " targetAverageValue=4:Quantity" },
	{ "io.k8s.api.autoscaling.v1.ExternalMetricStatus",
	  "metricName=1 metricSelector=2:LabelSelector currentValue=3:Quantity"
	  " currentAverageValue=4:Quantity" },
	{ "io.k8s.api.autoscaling.v1.HorizontalPodAutoscaler",
	  "metadata=1:ObjectMeta spec=2:HorizontalPodAutoscalerSpec"
	  " status=3:HorizontalPodAutoscalerStatus" },
	{ "io.k8s.api.autoscaling.v1.HorizontalPodAutoscalerCondition",
	  "type=1 status=2 lastTransitionTime=3:Time reason=4 message=5" },
	{ "io.k8s.api.autoscaling.v1.HorizontalPodAutoscalerSpec",
	  "scaleTargetRef=1:CrossVersionObjectReference minReplicas=2 maxReplicas=3"
	  " targetCPUUtilizationPercentage=4" },
	{ "io.k8s.api.autoscaling.v1.HorizontalPodAutoscalerStatus",
	  "observedGeneration=1 lastScaleTime=2:Time currentReplicas=3 desiredReplicas=4"
	  " currentCPUUtilizationPercentage=5" },
	{ "io.k8s.api.autoscaling.v1.MetricSpec",
	  "type=1 object=2:ObjectMetricSource pods=3:PodsMetricSource resource=4:ResourceMetricSource"
	  " external=5:ExternalMetricSource containerResource=7:ContainerResourceMetricSource" },
	{ "io.k8s.api.autoscaling.v1.MetricStatus",
	  "type=1 object=2:ObjectMetricStatus pods=3:PodsMetricStatus resource=4:ResourceMetricStatus"
	  " external=5:ExternalMetricStatus containerResource=7:ContainerResourceMetricStatus" },
	{ "io.k8s.api.autoscaling.v1.ObjectMetricSource",
	  "target=1:CrossVersionObjectReference metricName=2 targetValue=3:Quantity"
	  " selector=4:LabelSelector averageValue=5:Quantity" },
	{ "io.k8s.api.autoscaling.v1.ObjectMetricStatus",
	  "target=1:CrossVersionObjectReference metricName=2 currentValue=3:Quantity"
	  " selector=4:LabelSelector averageValue=5:Quantity" },
	{ "io.k8s.api.autoscaling.v1.PodsMetricSource",
	  "metricName=1 targetAverageValue=2:Quantity selector=3:LabelSelector" },
	{ "io.k8s.api.autoscaling.v1.PodsMetricStatus",
	  "metricName=1 currentAverageValue=2:Quantity selector=3:LabelSelector" },
	{ "io.k8s.api.autoscaling.v1.ResourceMetricSource",
	  "name=1 targetAverageUtilization=2 targetAverageValue=3:Quantity" },
	{ "io.k8s.api.autoscaling.v1.ResourceMetricStatus",
	  "name=1 currentAverageUtilization=2 currentAverageValue=3:Quantity" },
	{ "io.k8s.api.autoscaling.v1.Scale", "metadata=1:ObjectMeta spec=2:ScaleSpec status=3:ScaleStatus" },
	{ "io.k8s.api.autoscaling.v1.ScaleSpec", "replicas=1" },
	{ "io.k8s.api.autoscaling.v1.ScaleStatus", "replicas=1 selector=2" },
	{ "io.k8s.api.autoscaling.v2.ContainerResourceMetricSource", "name=1 target=2:MetricTarget container=3" },
	{ "io.k8s.api.autoscaling.v2.ContainerResourceMetricStatus", "name=1 current=2:MetricValueStatus container=3" },
	{ "io.k8s.api.autoscaling.v2.CrossVersionObjectReference", "kind=1 name=2 apiVersion=3" },
	{ "io.k8s.api.autoscaling.v2.ExternalMetricSource", "metric=1:MetricIdentifier target=2:MetricTarget" },
	{ "io.k8s.api.autoscaling.v2.ExternalMetricStatus", "metric=1:MetricIdentifier current=2:MetricValueStatus" },
	{ "io.k8s.api.autoscaling.v2.HPAScalingPolicy", "type=1 value=2 periodSeconds=3" },
	{ "io.k8s.api.autoscaling.v2.HPAScalingRules",
	  "selectPolicy=1 policies=2:HPAScalingPolicy stabilizationWindowSeconds=3 tolerance=4:Quantity" },
	{ "io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler",
	  "metadata=1:ObjectMeta spec=2:HorizontalPodAutoscalerSpec"
	  " status=3:HorizontalPodAutoscalerStatus" },
	{ "io.k8s.api.autoscaling.v2.HorizontalPodAutoscalerBehavior",
	  "scaleUp=1:HPAScalingRules scaleDown=2:HPAScalingRules" },
	{ "io.k8s.api.autoscaling.v2.HorizontalPodAutoscalerCondition",
	  "type=1 status=2 lastTransitionTime=3:Time reason=4 message=5" },
	{ "io.k8s.api.autoscaling.v2.HorizontalPodAutoscalerSpec",
	  "scaleTargetRef=1:CrossVersionObjectReference minReplicas=2 maxReplicas=3"
	  " metrics=4:MetricSpec behavior=5:HorizontalPodAutoscalerBehavior" },
	{ "io.k8s.api.autoscaling.v2.HorizontalPodAutoscalerStatus",
	  "observedGeneration=1 lastScaleTime=2:Time currentReplicas=3 desiredReplicas=4"
	  " currentMetrics=5:MetricStatus conditions=6:HorizontalPodAutoscalerCondition" },
	{ "io.k8s.api.autoscaling.v2.MetricIdentifier", "name=1 selector=2:LabelSelector" },
	{ "io.k8s.api.autoscaling.v2.MetricSpec",
	  "type=1 object=2:ObjectMetricSource pods=3:PodsMetricSource resource=4:ResourceMetricSource"
	  " external=5:ExternalMetricSource containerResource=7:ContainerResourceMetricSource" },
	{ "io.k8s.api.autoscaling.v2.MetricStatus",
	  "type=1 object=2:ObjectMetricStatus pods=3:PodsMetricStatus resource=4:ResourceMetricStatus"
	  " external=5:ExternalMetricStatus containerResource=7:ContainerResourceMetricStatus" },
	{ "io.k8s.api.autoscaling.v2.MetricTarget",
	  "type=1 value=2:Quantity averageValue=3:Quantity averageUtilization=4" },
	{ "io.k8s.api.autoscaling.v2.MetricValueStatus",
	  "value=1:Quantity averageValue=2:Quantity averageUtilization=3" },
	{ "io.k8s.api.autoscaling.v2.ObjectMetricSource",
	  "describedObject=1:CrossVersionObjectReference target=2:MetricTarget"
	  " metric=3:MetricIdentifier" },
	{ "io.k8s.api.autoscaling.v2.ObjectMetricStatus", "metric=1:MetricIdentifier current=2:MetricValueStatus"
							  " describedObject=3:CrossVersionObjectReference" },
	{ "io.k8s.api.autoscaling.v2.PodsMetricSource", "metric=1:MetricIdentifier target=2:MetricTarget" },
	{ "io.k8s.api.autoscaling.v2.PodsMetricStatus", "metric=1:MetricIdentifier current=2:MetricValueStatus" },
	{ "io.k8s.api.autoscaling.v2.ResourceMetricSource", "name=1 target=2:MetricTarget" },
	{ "io.k8s.api.autoscaling.v2.ResourceMetricStatus", "name=1 current=2:MetricValueStatus" },
	{ "io.k8s.api.policy.v1.Eviction", "metadata=1:ObjectMeta deleteOptions=2:DeleteOptions" },
	{ "io.k8s.api.policy.v1.PodDisruptionBudget",
	  "metadata=1:ObjectMeta spec=2:PodDisruptionBudgetSpec status=3:PodDisruptionBudgetStatus" },
	{ "io.k8s.api.policy.v1.PodDisruptionBudgetSpec",
	  "minAvailable=1:IntOrString selector=2:LabelSelector maxUnavailable=3:IntOrString"
	  " unhealthyPodEvictionPolicy=4" },
	{ "io.k8s.api.policy.v1.PodDisruptionBudgetStatus",
	  "observedGeneration=1 disruptedPods=2 disruptionsAllowed=3 currentHealthy=4 desiredHealthy=5"
	  " expectedPods=6 conditions=7:Condition" },
	{ "io.k8s.api.networking.v1.HTTPIngressPath", "path=1 backend=2:IngressBackend pathType=3" },
	{ "io.k8s.api.networking.v1.HTTPIngressRuleValue", "paths=1:HTTPIngressPath" },
	{ "io.k8s.api.networking.v1.IPAddress", "metadata=1:ObjectMeta spec=2:IPAddressSpec" },
	{ "io.k8s.api.networking.v1.IPAddressSpec", "parentRef=1:ParentReference" },
	{ "io.k8s.api.networking.v1.IPBlock", "cidr=1 except=2" },
	{ "io.k8s.api.networking.v1.Ingress", "metadata=1:ObjectMeta spec=2:IngressSpec status=3:IngressStatus" },
	{ "io.k8s.api.networking.v1.IngressBackend",
	  "resource=3:TypedLocalObjectReference service=4:IngressServiceBackend" },
	{ "io.k8s.api.networking.v1.IngressClass", "metadata=1:ObjectMeta spec=2:IngressClassSpec" },
	{ "io.k8s.api.networking.v1.IngressClassParametersReference", "apiGroup=1 kind=2 name=3 scope=4 namespace=5" },
	{ "io.k8s.api.networking.v1.IngressClassSpec", "controller=1 parameters=2:IngressClassParametersReference" },
	{ "io.k8s.api.networking.v1.IngressLoadBalancerIngress", "ip=1 hostname=2 ports=4:IngressPortStatus" },
	{ "io.k8s.api.networking.v1.IngressLoadBalancerStatus", "ingress=1:IngressLoadBalancerIngress" },
	{ "io.k8s.api.networking.v1.IngressPortStatus", "port=1 protocol=2 error=3" },
	{ "io.k8s.api.networking.v1.IngressRule", "host=1 ingressRuleValue=2:IngressRuleValue" },
	{ "io.k8s.api.networking.v1.IngressRuleValue", "http=1:HTTPIngressRuleValue" },
	{ "io.k8s.api.networking.v1.IngressServiceBackend", "name=1 port=2:ServiceBackendPort" },
	{ "io.k8s.api.networking.v1.IngressSpec",
	  "defaultBackend=1:IngressBackend tls=2:IngressTLS rules=3:IngressRule ingressClassName=4" },
	{ "io.k8s.api.networking.v1.IngressStatus", "loadBalancer=1:IngressLoadBalancerStatus" },
	{ "io.k8s.api.networking.v1.IngressTLS", "hosts=1 secretName=2" },
	{ "io.k8s.api.networking.v1.NetworkPolicy", "metadata=1:ObjectMeta spec=2:NetworkPolicySpec" },
	{ "io.k8s.api.networking.v1.NetworkPolicyEgressRule", "ports=1:NetworkPolicyPort to=2:NetworkPolicyPeer" },
	{ "io.k8s.api.networking.v1.NetworkPolicyIngressRule", "ports=1:NetworkPolicyPort from=2:NetworkPolicyPeer" },
	{ "io.k8s.api.networking.v1.NetworkPolicyPeer",
	  "podSelector=1:LabelSelector namespaceSelector=2:LabelSelector ipBlock=3:IPBlock" },
	{ "io.k8s.api.networking.v1.NetworkPolicyPort", "protocol=1 port=2:IntOrString endPort=3" },
	{ "io.k8s.api.networking.v1.NetworkPolicySpec", "podSelector=1:LabelSelector ingress=2:NetworkPolicyIngressRule"
							" egress=3:NetworkPolicyEgressRule policyTypes=4" },
	{ "io.k8s.api.networking.v1.ParentReference", "group=1 resource=2 namespace=3 name=4" },
	{ "io.k8s.api.networking.v1.ServiceBackendPort", "name=1 number=2" },
	{ "io.k8s.api.networking.v1.ServiceCIDR",
	  "metadata=1:ObjectMeta spec=2:ServiceCIDRSpec status=3:ServiceCIDRStatus" },
	{ "io.k8s.api.networking.v1.ServiceCIDRSpec", "cidrs=1" },
	{ "io.k8s.api.networking.v1.ServiceCIDRStatus", "conditions=1:Condition" },
	{ "io.k8s.api.discovery.v1.Endpoint",
	  "addresses=1 conditions=2:EndpointConditions hostname=3 targetRef=4:ObjectReference"
	  " deprecatedTopology=5 nodeName=6 zone=7 hints=8:EndpointHints" },
	{ "io.k8s.api.discovery.v1.EndpointConditions", "ready=1 serving=2 terminating=3" },
	{ "io.k8s.api.discovery.v1.EndpointHints", "forZones=1:ForZone forNodes=2:ForNode" },
	{ "io.k8s.api.discovery.v1.EndpointPort", "name=1 protocol=2 port=3 appProtocol=4" },
	{ "io.k8s.api.discovery.v1.EndpointSlice",
	  "metadata=1:ObjectMeta endpoints=2:Endpoint ports=3:EndpointPort addressType=4" },
	{ "io.k8s.api.discovery.v1.ForNode", "name=1" },
	{ "io.k8s.api.discovery.v1.ForZone", "name=1" },
	{ "io.k8s.api.storage.v1.CSIDriver", "metadata=1:ObjectMeta spec=2:CSIDriverSpec" },
	{ "io.k8s.api.storage.v1.CSIDriverSpec",
	  "attachRequired=1 podInfoOnMount=2 volumeLifecycleModes=3 storageCapacity=4 fsGroupPolicy=5"
	  " tokenRequests=6:TokenRequest requiresRepublish=7 seLinuxMount=8"
	  " nodeAllocatableUpdatePeriodSeconds=9" },
	{ "io.k8s.api.storage.v1.CSINode", "metadata=1:ObjectMeta spec=2:CSINodeSpec" },
	{ "io.k8s.api.storage.v1.CSINodeDriver", "name=1 nodeID=2 topologyKeys=3 allocatable=4:VolumeNodeResources" },
	{ "io.k8s.api.storage.v1.CSINodeSpec", "drivers=1:CSINodeDriver" },
	{ "io.k8s.api.storage.v1.CSIStorageCapacity",
	  "metadata=1:ObjectMeta nodeTopology=2:LabelSelector storageClassName=3 capacity=4:Quantity"
	  " maximumVolumeSize=5:Quantity" },
	{ "io.k8s.api.storage.v1.StorageClass",
	  "metadata=1:ObjectMeta provisioner=2 parameters=3 reclaimPolicy=4 mountOptions=5"
	  " allowVolumeExpansion=6 volumeBindingMode=7 allowedTopologies=8:TopologySelectorTerm" },
	{ "io.k8s.api.storage.v1.TokenRequest", "audience=1 expirationSeconds=2" },
	{ "io.k8s.api.storage.v1.VolumeAttachment",
	  "metadata=1:ObjectMeta spec=2:VolumeAttachmentSpec status=3:VolumeAttachmentStatus" },
	{ "io.k8s.api.storage.v1.VolumeAttachmentSource",
	  "persistentVolumeName=1 inlineVolumeSpec=2:PersistentVolumeSpec" },
	{ "io.k8s.api.storage.v1.VolumeAttachmentSpec", "attacher=1 source=2:VolumeAttachmentSource nodeName=3" },
	{ "io.k8s.api.storage.v1.VolumeAttachmentStatus",
	  "attached=1 attachmentMetadata=2 attachError=3:VolumeError detachError=4:VolumeError" },
	{ "io.k8s.api.storage.v1.VolumeError", "time=1:Time message=2 errorCode=3" },
	{ "io.k8s.api.storage.v1.VolumeNodeResources", "count=1" },
	{ "io.k8s.api.scheduling.v1.PriorityClass",
	  "metadata=1:ObjectMeta value=2 globalDefault=3 description=4 preemptionPolicy=5" },
	{ "io.k8s.api.coordination.v1.Lease", "metadata=1:ObjectMeta spec=2:LeaseSpec" },
	{ "io.k8s.api.coordination.v1.LeaseSpec",
	  "holderIdentity=1 leaseDurationSeconds=2 acquireTime=3:MicroTime renewTime=4:MicroTime"
	  " leaseTransitions=5 strategy=6 preferredHolder=7" },
	{ "io.k8s.api.events.v1.Event",
	  "metadata=1:ObjectMeta eventTime=2:MicroTime series=3:EventSeries reportingController=4"
	  " reportingInstance=5 action=6 reason=7 regarding=8:ObjectReference related=9:ObjectReference"
	  " note=10 type=11 deprecatedSource=12:EventSource deprecatedFirstTimestamp=13:Time"
	  " deprecatedLastTimestamp=14:Time deprecatedCount=15" },
	{ "io.k8s.api.events.v1.EventSeries", "count=1 lastObservedTime=2:MicroTime" },
	{ "io.k8s.api.rbac.v1.AggregationRule", "clusterRoleSelectors=1:LabelSelector" },
	{ "io.k8s.api.rbac.v1.ClusterRole",
	  "metadata=1:ObjectMeta rules=2:PolicyRule aggregationRule=3:AggregationRule" },
	{ "io.k8s.api.rbac.v1.ClusterRoleBinding", "metadata=1:ObjectMeta subjects=2:Subject roleRef=3:RoleRef" },
	{ "io.k8s.api.rbac.v1.PolicyRule", "verbs=1 apiGroups=2 resources=3 resourceNames=4 nonResourceURLs=5" },
	{ "io.k8s.api.rbac.v1.Role", "metadata=1:ObjectMeta rules=2:PolicyRule" },
	{ "io.k8s.api.rbac.v1.RoleBinding", "metadata=1:ObjectMeta subjects=2:Subject roleRef=3:RoleRef" },
	{ "io.k8s.api.rbac.v1.RoleRef", "apiGroup=1 kind=2 name=3" },
	{ "io.k8s.api.rbac.v1.Subject", "kind=1 apiGroup=2 name=3 namespace=4" },
	{ "io.k8s.api.authentication.v1.BoundObjectReference", "kind=1 apiVersion=2 name=3 uid=4" },
	{ "io.k8s.api.authentication.v1.ExtraValue", "items=1" },
	{ "io.k8s.api.authentication.v1.SelfSubjectReview", "metadata=1:ObjectMeta status=2:SelfSubjectReviewStatus" },
	{ "io.k8s.api.authentication.v1.SelfSubjectReviewStatus", "userInfo=1:UserInfo" },
	{ "io.k8s.api.authentication.v1.TokenRequest",
	  "metadata=1:ObjectMeta spec=2:TokenRequestSpec status=3:TokenRequestStatus" },
	{ "io.k8s.api.authentication.v1.TokenRequestSpec",
	  "audiences=1 boundObjectRef=3:BoundObjectReference expirationSeconds=4" },
	{ "io.k8s.api.authentication.v1.TokenRequestStatus", "token=1 expirationTimestamp=2:Time" },
	{ "io.k8s.api.authentication.v1.TokenReview",
	  "metadata=1:ObjectMeta spec=2:TokenReviewSpec status=3:TokenReviewStatus" },
	{ "io.k8s.api.authentication.v1.TokenReviewSpec", "token=1 audiences=2" },
	{ "io.k8s.api.authentication.v1.TokenReviewStatus", "authenticated=1 user=2:UserInfo error=3 audiences=4" },
	{ "io.k8s.api.authentication.v1.UserInfo", "username=1 uid=2 groups=3 extra=4" },
	{ "io.k8s.api.authorization.v1.ExtraValue", "items=1" },
	{ "io.k8s.api.authorization.v1.FieldSelectorAttributes",
	  "rawSelector=1 requirements=2:FieldSelectorRequirement" },
	{ "io.k8s.api.authorization.v1.LabelSelectorAttributes",
	  "rawSelector=1 requirements=2:LabelSelectorRequirement" },
	{ "io.k8s.api.authorization.v1.LocalSubjectAccessReview",
	  "metadata=1:ObjectMeta spec=2:SubjectAccessReviewSpec status=3:SubjectAccessReviewStatus" },
	{ "io.k8s.api.authorization.v1.NonResourceAttributes", "path=1 verb=2" },
	{ "io.k8s.api.authorization.v1.NonResourceRule", "verbs=1 nonResourceURLs=2" },
	{ "io.k8s.api.authorization.v1.ResourceAttributes",
	  "namespace=1 verb=2 group=3 version=4 resource=5 subresource=6 name=7"
	  " fieldSelector=8:FieldSelectorAttributes labelSelector=9:LabelSelectorAttributes" },
	{ "io.k8s.api.authorization.v1.ResourceRule", "verbs=1 apiGroups=2 resources=3 resourceNames=4" },
	{ "io.k8s.api.authorization.v1.SelfSubjectAccessReview",
	  "metadata=1:ObjectMeta spec=2:SelfSubjectAccessReviewSpec status=3:SubjectAccessReviewStatus" },
	{ "io.k8s.api.authorization.v1.SelfSubjectAccessReviewSpec",
	  "resourceAttributes=1:ResourceAttributes nonResourceAttributes=2:NonResourceAttributes" },
	{ "io.k8s.api.authorization.v1.SelfSubjectRulesReview",
	  "metadata=1:ObjectMeta spec=2:SelfSubjectRulesReviewSpec status=3:SubjectRulesReviewStatus" },
	{ "io.k8s.api.authorization.v1.SelfSubjectRulesReviewSpec", "namespace=1" },
	{ "io.k8s.api.authorization.v1.SubjectAccessReview",
	  "metadata=1:ObjectMeta spec=2:SubjectAccessReviewSpec status=3:SubjectAccessReviewStatus" },
	{ "io.k8s.api.authorization.v1.SubjectAccessReviewSpec",
	  "resourceAttributes=1:ResourceAttributes nonResourceAttributes=2:NonResourceAttributes user=3"
	  " groups=4 extra=5 uid=6" },
	{ "io.k8s.api.authorization.v1.SubjectAccessReviewStatus", "allowed=1 reason=2 evaluationError=3 denied=4" },
	{ "io.k8s.api.authorization.v1.SubjectRulesReviewStatus",
	  "resourceRules=1:ResourceRule nonResourceRules=2:NonResourceRule incomplete=3"
	  " evaluationError=4" },
	{ "io.k8s.api.certificates.v1.CertificateSigningRequest",
	  "metadata=1:ObjectMeta spec=2:CertificateSigningRequestSpec"
	  " status=3:CertificateSigningRequestStatus" },
	{ "io.k8s.api.certificates.v1.CertificateSigningRequestCondition",
	  "type=1 reason=2 message=3 lastUpdateTime=4:Time lastTransitionTime=5:Time status=6" },
	{ "io.k8s.api.certificates.v1.CertificateSigningRequestSpec",
	  "request=1 username=2 uid=3 groups=4 usages=5 extra=6 signerName=7 expirationSeconds=8" },
	{ "io.k8s.api.certificates.v1.CertificateSigningRequestStatus",
	  "conditions=1:CertificateSigningRequestCondition certificate=2" },
	{ "io.k8s.api.certificates.v1.ExtraValue", "items=1" },
	{ "io.k8s.api.flowcontrol.v1.ExemptPriorityLevelConfiguration",
	  "nominalConcurrencyShares=1 lendablePercent=2" },
	{ "io.k8s.api.flowcontrol.v1.FlowDistinguisherMethod", "type=1" },
	{ "io.k8s.api.flowcontrol.v1.FlowSchema",
	  "metadata=1:ObjectMeta spec=2:FlowSchemaSpec status=3:FlowSchemaStatus" },
	{ "io.k8s.api.flowcontrol.v1.FlowSchemaCondition",
	  "type=1 status=2 lastTransitionTime=3:Time reason=4 message=5" },
	{ "io.k8s.api.flowcontrol.v1.FlowSchemaSpec",
	  "priorityLevelConfiguration=1:PriorityLevelConfigurationReference matchingPrecedence=2"
	  " distinguisherMethod=3:FlowDistinguisherMethod rules=4:PolicyRulesWithSubjects" },
	{ "io.k8s.api.flowcontrol.v1.FlowSchemaStatus", "conditions=1:FlowSchemaCondition" },
	{ "io.k8s.api.flowcontrol.v1.GroupSubject", "name=1" },
	{ "io.k8s.api.flowcontrol.v1.LimitResponse", "type=1 queuing=2:QueuingConfiguration" },
	{ "io.k8s.api.flowcontrol.v1.LimitedPriorityLevelConfiguration",
	  "nominalConcurrencyShares=1 limitResponse=2:LimitResponse lendablePercent=3"
	  " borrowingLimitPercent=4" },
	{ "io.k8s.api.flowcontrol.v1.NonResourcePolicyRule", "verbs=1 nonResourceURLs=6" },
	{ "io.k8s.api.flowcontrol.v1.PolicyRulesWithSubjects", "subjects=1:Subject resourceRules=2:ResourcePolicyRule"
							       " nonResourceRules=3:NonResourcePolicyRule" },
	{ "io.k8s.api.flowcontrol.v1.PriorityLevelConfiguration",
	  "metadata=1:ObjectMeta spec=2:PriorityLevelConfigurationSpec"
	  " status=3:PriorityLevelConfigurationStatus" },
	{ "io.k8s.api.flowcontrol.v1.PriorityLevelConfigurationCondition",
	  "type=1 status=2 lastTransitionTime=3:Time reason=4 message=5" },
	{ "io.k8s.api.flowcontrol.v1.PriorityLevelConfigurationReference", "name=1" },
	{ "io.k8s.api.flowcontrol.v1.PriorityLevelConfigurationSpec",
	  "type=1 limited=2:LimitedPriorityLevelConfiguration exempt=3:ExemptPriorityLevelConfiguration" },
	{ "io.k8s.api.flowcontrol.v1.PriorityLevelConfigurationStatus",
	  "conditions=1:PriorityLevelConfigurationCondition" },
	{ "io.k8s.api.flowcontrol.v1.QueuingConfiguration", "queues=1 handSize=2 queueLengthLimit=3" },
	{ "io.k8s.api.flowcontrol.v1.ResourcePolicyRule",
	  "verbs=1 apiGroups=2 resources=3 clusterScope=4 namespaces=5" },
	{ "io.k8s.api.flowcontrol.v1.ServiceAccountSubject", "namespace=1 name=2" },
	{ "io.k8s.api.flowcontrol.v1.Subject",
	  "kind=1 user=2:UserSubject group=3:GroupSubject serviceAccount=4:ServiceAccountSubject" },
	{ "io.k8s.api.flowcontrol.v1.UserSubject", "name=1" },
	{ "io.k8s.api.admissionregistration.v1.AuditAnnotation", "key=1 valueExpression=2" },
	{ "io.k8s.api.admissionregistration.v1.ExpressionWarning", "fieldRef=2 warning=3" },
	{ "io.k8s.api.admissionregistration.v1.MatchCondition", "name=1 expression=2" },
	{ "io.k8s.api.admissionregistration.v1.MatchResources",
	  "namespaceSelector=1:LabelSelector objectSelector=2:LabelSelector"
	  " resourceRules=3:NamedRuleWithOperations excludeResourceRules=4:NamedRuleWithOperations"
	  " matchPolicy=7" },
	{ "io.k8s.api.admissionregistration.v1.MutatingWebhook",
	  "name=1 clientConfig=2:WebhookClientConfig rules=3:RuleWithOperations failurePolicy=4"
	  " namespaceSelector=5:LabelSelector sideEffects=6 timeoutSeconds=7 admissionReviewVersions=8"
	  " matchPolicy=9 reinvocationPolicy=10 objectSelector=11:LabelSelector"
	  " matchConditions=12:MatchCondition" },
	{ "io.k8s.api.admissionregistration.v1.MutatingWebhookConfiguration",
	  "metadata=1:ObjectMeta Webhooks=2:MutatingWebhook" },
	{ "io.k8s.api.admissionregistration.v1.NamedRuleWithOperations",
	  "resourceNames=1 ruleWithOperations=2:RuleWithOperations" },
	{ "io.k8s.api.admissionregistration.v1.ParamKind", "apiVersion=1 kind=2" },
	{ "io.k8s.api.admissionregistration.v1.ParamRef",
	  "name=1 namespace=2 selector=3:LabelSelector parameterNotFoundAction=4" },
	{ "io.k8s.api.admissionregistration.v1.Rule", "apiGroups=1 apiVersions=2 resources=3 scope=4" },
	{ "io.k8s.api.admissionregistration.v1.RuleWithOperations", "operations=1 rule=2:Rule" },
	{ "io.k8s.api.admissionregistration.v1.ServiceReference", "namespace=1 name=2 path=3 port=4" },
	{ "io.k8s.api.admissionregistration.v1.TypeChecking", "expressionWarnings=1:ExpressionWarning" },
	{ "io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicy",
	  "metadata=1:ObjectMeta spec=2:ValidatingAdmissionPolicySpec"
	  " status=3:ValidatingAdmissionPolicyStatus" },
	{ "io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicyBinding",
	  "metadata=1:ObjectMeta spec=2:ValidatingAdmissionPolicyBindingSpec" },
	{ "io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicyBindingSpec",
	  "policyName=1 paramRef=2:ParamRef matchResources=3:MatchResources validationActions=4" },
	{ "io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicySpec",
	  "paramKind=1:ParamKind matchConstraints=2:MatchResources validations=3:Validation"
	  " failurePolicy=4 auditAnnotations=5:AuditAnnotation matchConditions=6:MatchCondition"
	  " variables=7:Variable" },
	{ "io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicyStatus",
	  "observedGeneration=1 typeChecking=2:TypeChecking conditions=3:Condition" },
	{ "io.k8s.api.admissionregistration.v1.ValidatingWebhook",
	  "name=1 clientConfig=2:WebhookClientConfig rules=3:RuleWithOperations failurePolicy=4"
	  " namespaceSelector=5:LabelSelector sideEffects=6 timeoutSeconds=7 admissionReviewVersions=8"
	  " matchPolicy=9 objectSelector=10:LabelSelector matchConditions=11:MatchCondition" },
	{ "io.k8s.api.admissionregistration.v1.ValidatingWebhookConfiguration",
	  "metadata=1:ObjectMeta Webhooks=2:ValidatingWebhook" },
	{ "io.k8s.api.admissionregistration.v1.Validation", "Expression=1 message=2 reason=3 messageExpression=4" },
	{ "io.k8s.api.admissionregistration.v1.Variable", "Name=1 Expression=2" },
	{ "io.k8s.api.admissionregistration.v1.WebhookClientConfig", "service=1:ServiceReference caBundle=2 url=3" },
	{ "io.k8s.apimachinery.pkg.apis.meta.v1.APIGroup",
	  "name=1 versions=2:GroupVersionForDiscovery preferredVersion=3:GroupVersionForDiscovery"
	  " serverAddressByClientCIDRs=4:ServerAddressByClientCIDR" },
	{ "io.k8s.apimachinery.pkg.apis.meta.v1.APIGroupList", "groups=1:APIGroup" },
	{ "io.k8s.apimachinery.pkg.apis.meta.v1.APIResource",
	  "name=1 namespaced=2 kind=3 verbs=4:Verbs shortNames=5 singularName=6 categories=7 group=8"
	  " version=9 storageVersionHash=10" },
	{ "io.k8s.apimachinery.pkg.apis.meta.v1.APIResourceList", "groupVersion=1 resources=2:APIResource" },
	{ "io.k8s.apimachinery.pkg.apis.meta.v1.APIVersions",
	  "versions=1 serverAddressByClientCIDRs=2:ServerAddressByClientCIDR" },
	{ "io.k8s.apimachinery.pkg.apis.meta.v1.ApplyOptions", "dryRun=1 force=2 fieldManager=3" },
	{ "io.k8s.apimachinery.pkg.apis.meta.v1.Condition",
	  "type=1 status=2 observedGeneration=3 lastTransitionTime=4:Time reason=5 message=6" },
	{ "io.k8s.apimachinery.pkg.apis.meta.v1.CreateOptions", "dryRun=1 fieldManager=3 fieldValidation=4" },
	{ "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions",
	  "gracePeriodSeconds=1 preconditions=2:Preconditions orphanDependents=3 propagationPolicy=4"
	  " dryRun=5 ignoreStoreReadErrorWithClusterBreakingPotential=6" },
	{ "io.k8s.apimachinery.pkg.apis.meta.v1.Duration", "duration=1" },
	{ "io.k8s.apimachinery.pkg.apis.meta.v1.FieldSelectorRequirement", "key=1 operator=2 values=3" },
	{ "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1", "Raw=1" },
	{ "io.k8s.apimachinery.pkg.apis.meta.v1.GetOptions", "resourceVersion=1" },
	{ "io.k8s.apimachinery.pkg.apis.meta.v1.GroupKind", "group=1 kind=2" },
	{ "io.k8s.apimachinery.pkg.apis.meta.v1.GroupResource", "group=1 resource=2" },
	{ "io.k8s.apimachinery.pkg.apis.meta.v1.GroupVersion", "group=1 version=2" },
	{ "io.k8s.apimachinery.pkg.apis.meta.v1.GroupVersionForDiscovery", "groupVersion=1 version=2" },
	{ "io.k8s.apimachinery.pkg.apis.meta.v1.GroupVersionKind", "group=1 version=2 kind=3" },
	{ "io.k8s.apimachinery.pkg.apis.meta.v1.GroupVersionResource", "group=1 version=2 resource=3" },
	{ "io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector",
	  "matchLabels=1 matchExpressions=2:LabelSelectorRequirement" },
	{ "io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelectorRequirement", "key=1 operator=2 values=3" },
	{ "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta",
	  "selfLink=1 resourceVersion=2 continue=3 remainingItemCount=4" },
	{ "io.k8s.apimachinery.pkg.apis.meta.v1.ListOptions",
	  "labelSelector=1 fieldSelector=2 watch=3 resourceVersion=4 timeoutSeconds=5 limit=7"
	  " continue=8 allowWatchBookmarks=9 resourceVersionMatch=10 sendInitialEvents=11" },
	{ "io.k8s.apimachinery.pkg.apis.meta.v1.ManagedFieldsEntry",
	  "manager=1 operation=2 apiVersion=3 time=4:Time fieldsType=6 fieldsV1=7:FieldsV1"
	  " subresource=8" },
	{ "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime", "seconds=1 nanos=2" },
	{ "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta",
	  "name=1 generateName=2 namespace=3 selfLink=4 uid=5 resourceVersion=6 generation=7"
	  " creationTimestamp=8:Time deletionTimestamp=9:Time deletionGracePeriodSeconds=10 labels=11"
	  " annotations=12 ownerReferences=13:OwnerReference finalizers=14 managedFields=17" },
	{ "io.k8s.apimachinery.pkg.apis.meta.v1.OwnerReference",
	  "kind=1 name=3 uid=4 apiVersion=5 controller=6 blockOwnerDeletion=7" },
	{ "io.k8s.apimachinery.pkg.apis.meta.v1.PartialObjectMetadata", "metadata=1:ObjectMeta" },
	{ "io.k8s.apimachinery.pkg.apis.meta.v1.Patch", "" },
	{ "io.k8s.apimachinery.pkg.apis.meta.v1.PatchOptions", "dryRun=1 force=2 fieldManager=3 fieldValidation=4" },
	{ "io.k8s.apimachinery.pkg.apis.meta.v1.Preconditions", "uid=1 resourceVersion=2" },
	{ "io.k8s.apimachinery.pkg.apis.meta.v1.RootPaths", "paths=1" },
	{ "io.k8s.apimachinery.pkg.apis.meta.v1.ServerAddressByClientCIDR", "clientCIDR=1 serverAddress=2" },
	{ "io.k8s.apimachinery.pkg.apis.meta.v1.Status",
	  "metadata=1:ListMeta status=2 message=3 reason=4 details=5:StatusDetails code=6" },
	{ "io.k8s.apimachinery.pkg.apis.meta.v1.StatusCause", "reason=1 message=2 field=3" },
	{ "io.k8s.apimachinery.pkg.apis.meta.v1.StatusDetails",
	  "name=1 group=2 kind=3 causes=4:StatusCause retryAfterSeconds=5 uid=6" },
	{ "io.k8s.apimachinery.pkg.apis.meta.v1.TableOptions", "includeObject=1" },
	{ "io.k8s.apimachinery.pkg.apis.meta.v1.Time", "seconds=1 nanos=2" },
	{ "io.k8s.apimachinery.pkg.apis.meta.v1.Timestamp", "seconds=1 nanos=2" },
	{ "io.k8s.apimachinery.pkg.apis.meta.v1.TypeMeta", "kind=1 apiVersion=2" },
	{ "io.k8s.apimachinery.pkg.apis.meta.v1.UpdateOptions", "dryRun=1 fieldManager=2 fieldValidation=3" },
	{ "io.k8s.apimachinery.pkg.apis.meta.v1.Verbs", "items=1" },
	{ "io.k8s.apimachinery.pkg.apis.meta.v1.WatchEvent", "type=1 object=2:RawExtension" },
};

#endif
