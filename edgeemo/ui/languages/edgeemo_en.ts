<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE TS>
<TS version="2.1" language="en" sourcelanguage="en">
<context>
    <name>edgeemo</name>
    <message numerus="yes">
        <location filename="../library.py"/>
        <source>%n rows written to {path}</source>
        <translation>
            <numerusform>%n row written to {path}</numerusform>
            <numerusform>%n rows written to {path}</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <location filename="../library.py"/>
        <source>%n frames written to {path}</source>
        <translation>
            <numerusform>%n frame written to {path}</numerusform>
            <numerusform>%n frames written to {path}</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <location filename="../library.py"/>
        <source>%n annotations written to {path}</source>
        <translation>
            <numerusform>%n annotation written to {path}</numerusform>
            <numerusform>%n annotations written to {path}</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <location filename="../neutral_baseline.py"/>
        <source>Person {number}: look neutral for %n seconds.</source>
        <translation>
            <numerusform>Person {number}: look neutral for %n second.</numerusform>
            <numerusform>Person {number}: look neutral for %n seconds.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <location filename="../queue.py"/>
        <source>{done} of %n files</source>
        <translation>
            <numerusform>{done} of %n file</numerusform>
            <numerusform>{done} of %n files</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <location filename="../queue.py"/>
        <source>%n files</source>
        <translation>
            <numerusform>%n file</numerusform>
            <numerusform>%n files</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <location filename="../queue.py"/>
        <source>%n persons</source>
        <translation>
            <numerusform>%n person</numerusform>
            <numerusform>%n persons</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <location filename="../queue.py"/>
        <source>%n failed</source>
        <translation>
            <numerusform>%n failed</numerusform>
            <numerusform>%n failed</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <location filename="../replaying.py"/>
        <source>%n markers written to {path}</source>
        <translation>
            <numerusform>%n marker written to {path}</numerusform>
            <numerusform>%n markers written to {path}</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <location filename="../status_bar.py"/>
        <source>%n dropped</source>
        <translation>
            <numerusform>%n dropped</numerusform>
            <numerusform>%n dropped</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <location filename="../welcome.py"/>
        <source>%n to fix: see → below.</source>
        <translation>
            <numerusform>%n to fix: see → below.</numerusform>
            <numerusform>%n to fix: see → below.</numerusform>
        </translation>
    </message>
</context>
</TS>
