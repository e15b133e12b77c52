<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE TS>
<TS version="2.1" language="de" sourcelanguage="en">
<context>
    <name>edgeemo</name>
    <message>
        <location filename="../about.py"/>
        <source>see its own files</source>
        <translation>siehe die eigenen Dateien</translation>
    </message>
    <message>
        <location filename="../about.py"/>
        <source>&lt;h3&gt;edgeemo {version}&lt;/h3&gt;&lt;p&gt;Facial expressions in video, in real time, on this machine alone.&lt;/p&gt;&lt;p&gt;Engine: {engine}&lt;/p&gt;&lt;h4&gt;Parts and their licences&lt;/h4&gt;&lt;table&gt;{rows}&lt;/table&gt;&lt;p&gt;Each engine's card names its training data and its licence. The texts of all licences: &lt;code&gt;scripts/make-notices&lt;/code&gt;, or THIRD-PARTY-NOTICES.txt in an installed bundle.&lt;/p&gt;</source>
        <translation>&lt;h3&gt;edgeemo {version}&lt;/h3&gt;&lt;p&gt;Gesichtsausdrücke in Videos, in Echtzeit, nur auf diesem Rechner.&lt;/p&gt;&lt;p&gt;Engine: {engine}&lt;/p&gt;&lt;h4&gt;Bestandteile und ihre Lizenzen&lt;/h4&gt;&lt;table&gt;{rows}&lt;/table&gt;&lt;p&gt;Die Karte jeder Engine nennt ihre Trainingsdaten und ihre Lizenz. Die Texte aller Lizenzen: &lt;code&gt;scripts/make-notices&lt;/code&gt;, oder THIRD-PARTY-NOTICES.txt in einem installierten Paket.&lt;/p&gt;</translation>
    </message>
    <message>
        <location filename="../about.py"/>
        <source>About edgeemo</source>
        <translation>Über edgeemo</translation>
    </message>
    <message>
        <location filename="../about.py"/>
        <source>none runs</source>
        <translation>keine läuft</translation>
    </message>
    <message>
        <location filename="../analyse.py"/>
        <source>Analyse a file</source>
        <translation>Datei auswerten</translation>
    </message>
    <message>
        <location filename="../analyse.py"/>
        <source>Progress</source>
        <translation>Fortschritt</translation>
    </message>
    <message>
        <location filename="../analyse.py"/>
        <source>Opening …</source>
        <translation>Öffnet …</translation>
    </message>
    <message>
        <location filename="../analyse.py"/>
        <source>Cancel</source>
        <translation>Abbrechen</translation>
    </message>
    <message>
        <location filename="../analyse.py"/>
        <source>Cancelling …</source>
        <translation>Bricht ab …</translation>
    </message>
    <message>
        <location filename="../analyse.py"/>
        <source>{length} of video, {rate} frames per second, {times} times real time</source>
        <translation>{length} Video, {rate} Bilder pro Sekunde, {times}-fache Echtzeit</translation>
    </message>
    <message>
        <location filename="../banner.py"/>
        <source>Dismiss (Esc)</source>
        <translation>Ausblenden (Esc)</translation>
    </message>
    <message>
        <location filename="../banner.py"/>
        <source>Dismiss the message</source>
        <translation>Meldung ausblenden</translation>
    </message>
    <message>
        <location filename="../banner.py"/>
        <source>This is a bug in edgeemo, please report it: {error}</source>
        <translation>Das ist ein Fehler von edgeemo, bitte melden Sie ihn: {error}</translation>
    </message>
    <message>
        <location filename="../cards.py"/>
        <source>Expressions, not feelings.
Nothing leaves this machine.</source>
        <translation>Ausdrücke, nicht Gefühle.
Nichts verlässt diesen Rechner.</translation>
    </message>
    <message>
        <location filename="../cards.py"/>
        <source>Width of the face in the picture</source>
        <translation>Breite des Gesichts im Bild</translation>
    </message>
    <message>
        <location filename="../cards.py"/>
        <source>Face</source>
        <translation>Gesicht</translation>
    </message>
    <message>
        <location filename="../cards.py"/>
        <source> or </source>
        <translation> oder </translation>
    </message>
    <message>
        <location filename="../cards.py"/>
        <source>Perhaps {names}: {reasons}</source>
        <translation>Vielleicht {names}: {reasons}</translation>
    </message>
    <message>
        <location filename="../cards.py"/>
        <source>edgeemo says which expression a face shows; what somebody feels cannot be seen.
All pictures are analysed here; none is sent anywhere.</source>
        <translation>edgeemo sagt, welchen Ausdruck ein Gesicht zeigt; was jemand fühlt, kann man nicht sehen.
Alle Bilder werden hier ausgewertet; keines wird verschickt.</translation>
    </message>
    <message>
        <location filename="../cards.py"/>
        <source>No face</source>
        <translation>Kein Gesicht</translation>
    </message>
    <message>
        <location filename="../cards.py"/>
        <source>Faces</source>
        <translation>Gesichter</translation>
    </message>
    <message>
        <location filename="../cards.py"/>
        <source>Nobody is in the picture, or the face is too small or turned away.</source>
        <translation>Niemand ist im Bild, oder das Gesicht ist zu klein oder abgewandt.</translation>
    </message>
    <message>
        <location filename="../engine_facts.py"/>
        <source>cannot be used</source>
        <translation>nicht verwendbar</translation>
    </message>
    <message>
        <location filename="../engine_facts.py"/>
        <source>{percent} % right</source>
        <translation>{percent} % richtig</translation>
    </message>
    <message>
        <location filename="../engine_facts.py"/>
        <source>No accuracy is stated for it.</source>
        <translation>Eine Genauigkeit ist nicht angegeben.</translation>
    </message>
    <message>
        <location filename="../engine_facts.py"/>
        <source>Not measured on this machine yet.</source>
        <translation>Auf diesem Rechner noch nicht gemessen.</translation>
    </message>
    <message>
        <location filename="../engine_facts.py"/>
        <source>Accuracy on {data}: {percent} %.</source>
        <translation>Benennt {percent} % der Gesichter von {data} so, wie Menschen es taten.</translation>
    </message>
    <message>
        <location filename="../engine_facts.py"/>
        <source>{ms} ms per face on this machine.</source>
        <translation>{ms} ms pro Gesicht auf diesem Rechner.</translation>
    </message>
    <message>
        <location filename="../file_bar.py"/>
        <source>Seeking is disabled while a recording or an output needs the whole file.</source>
        <translation>Eine Aufnahme und Ausgaben nehmen die Datei von Anfang bis Ende: Spulen geht, wenn sie beendet sind.</translation>
    </message>
    <message>
        <location filename="../file_bar.py"/>
        <source>the file</source>
        <translation>die Datei</translation>
    </message>
    <message>
        <location filename="../file_bar.py"/>
        <source>Arrow keys: a tenth of a second; Page keys: five seconds</source>
        <translation>Pfeiltasten: eine Zehntelsekunde; Bild auf und ab: fünf Sekunden</translation>
    </message>
    <message>
        <location filename="../file_bar.py"/>
        <source>{time} of {length}</source>
        <translation>{time} von {length}</translation>
    </message>
    <message>
        <location filename="../file_dialogs.py"/>
        <source>Videos (*.mp4 *.m4v *.mov *.mkv *.webm *.avi *.mpg *.mpeg *.ts *.wmv)</source>
        <translation>Videos (*.mp4 *.m4v *.mov *.mkv *.webm *.avi *.mpg *.mpeg *.ts *.wmv)</translation>
    </message>
    <message>
        <location filename="../file_dialogs.py"/>
        <source>Pictures (*.jpg *.jpeg *.png *.bmp *.webp *.tif *.tiff)</source>
        <translation>Bilder (*.jpg *.jpeg *.png *.bmp *.webp *.tif *.tiff)</translation>
    </message>
    <message>
        <location filename="../file_dialogs.py"/>
        <source>All files (*)</source>
        <translation>Alle Dateien (*)</translation>
    </message>
    <message>
        <location filename="../groups_dialog.py"/>
        <source>Compare groups</source>
        <translation>Gruppen vergleichen</translation>
    </message>
    <message>
        <location filename="../groups_dialog.py"/>
        <source>Add a group</source>
        <translation>Gruppe hinzufügen</translation>
    </message>
    <message>
        <location filename="../groups_dialog.py"/>
        <source>Remove the last group</source>
        <translation>Letzte Gruppe entfernen</translation>
    </message>
    <message>
        <location filename="../groups_dialog.py"/>
        <source>Make the page</source>
        <translation>Seite erstellen</translation>
    </message>
    <message>
        <location filename="../groups_dialog.py"/>
        <source>Group {letter}</source>
        <translation>Gruppe {letter}</translation>
    </message>
    <message>
        <location filename="../groups_dialog.py"/>
        <source>Name of group {letter}</source>
        <translation>Name der Gruppe {letter}</translation>
    </message>
    <message>
        <location filename="../groups_dialog.py"/>
        <source>Name of &amp;{letter}:</source>
        <translation>Name von &amp;{letter}:</translation>
    </message>
    <message>
        <location filename="../groups_dialog.py"/>
        <source>Sessions and their groups</source>
        <translation>Sitzungen und ihre Gruppen</translation>
    </message>
    <message>
        <location filename="../groups_dialog.py"/>
        <source>Session</source>
        <translation>Sitzung</translation>
    </message>
    <message>
        <location filename="../groups_dialog.py"/>
        <source>Recorded</source>
        <translation>Aufgenommen</translation>
    </message>
    <message>
        <location filename="../groups_dialog.py"/>
        <source>In group {letter}</source>
        <translation>In Gruppe {letter}</translation>
    </message>
    <message>
        <location filename="../groups_dialog.py"/>
        <source>Give each group a different name.</source>
        <translation>Geben Sie jeder Gruppe einen eigenen Namen.</translation>
    </message>
    <message>
        <location filename="../groups_dialog.py"/>
        <source>Tick at least one session for each group.</source>
        <translation>Kreuzen Sie für jede Gruppe mindestens eine Sitzung an.</translation>
    </message>
    <message>
        <location filename="../health.py"/>
        <source>Find faces</source>
        <translation>Gesichter finden</translation>
    </message>
    <message>
        <location filename="../health.py"/>
        <source>Follow them</source>
        <translation>Gesichter verfolgen</translation>
    </message>
    <message>
        <location filename="../health.py"/>
        <source>Engine, all faces</source>
        <translation>Engine, alle Gesichter</translation>
    </message>
    <message>
        <location filename="../health.py"/>
        <source>Smooth</source>
        <translation>Glätten</translation>
    </message>
    <message>
        <location filename="../health.py"/>
        <source>Record and sinks</source>
        <translation>Aufnahme und Ausgaben</translation>
    </message>
    <message>
        <location filename="../health.py"/>
        <source>Engine</source>
        <translation>Engine</translation>
    </message>
    <message>
        <location filename="../health.py"/>
        <source>Frames per second</source>
        <translation>Bilder pro Sekunde</translation>
    </message>
    <message>
        <location filename="../health.py"/>
        <source>Latency</source>
        <translation>Verzögerung</translation>
    </message>
    <message>
        <location filename="../health.py"/>
        <source>To the result</source>
        <translation>Bis zum Ergebnis</translation>
    </message>
    <message>
        <location filename="../health.py"/>
        <source>Frames</source>
        <translation>Bilder</translation>
    </message>
    <message>
        <location filename="../health.py"/>
        <source>Dropped</source>
        <translation>Ausgelassen</translation>
    </message>
    <message>
        <location filename="../health.py"/>
        <source>Window</source>
        <translation>Fenster</translation>
    </message>
    <message>
        <location filename="../health.py"/>
        <source>Temperature</source>
        <translation>Temperatur</translation>
    </message>
    <message>
        <location filename="../health.py"/>
        <source>Power</source>
        <translation>Leistung</translation>
    </message>
    <message>
        <location filename="../health.py"/>
        <source>Load</source>
        <translation>Auslastung</translation>
    </message>
    <message>
        <location filename="../health.py"/>
        <source>Health</source>
        <translation>Zustand</translation>
    </message>
    <message>
        <location filename="../health.py"/>
        <source>{ms} ms of it</source>
        <translation>{ms} ms davon</translation>
    </message>
    <message>
        <location filename="../health.py"/>
        <source>{ms} ms per frame</source>
        <translation>{ms} ms pro Bild</translation>
    </message>
    <message>
        <location filename="../health.py"/>
        <source>{ms} ms per picture (95 %)</source>
        <translation>{ms} ms pro Bild (95 %)</translation>
    </message>
    <message>
        <location filename="../health.py"/>
        <source>not known on this machine</source>
        <translation>auf diesem Rechner nicht bekannt</translation>
    </message>
    <message>
        <location filename="../health.py"/>
        <source>{processes} (one minute)</source>
        <translation>{processes} (eine Minute)</translation>
    </message>
    <message>
        <location filename="../health.py"/>
        <source>{ms} ms from a frame's capture to the screen (95 %: {late} ms)</source>
        <translation>{ms} ms vom Bildeingang bis zum Bildschirm (95 %: {late} ms)</translation>
    </message>
    <message>
        <location filename="../keys.py"/>
        <source>Space</source>
        <translation>Leertaste</translation>
    </message>
    <message>
        <location filename="../keys.py"/>
        <source>Pause, resume, start</source>
        <translation>Anhalten, fortsetzen, starten</translation>
    </message>
    <message>
        <location filename="../keys.py"/>
        <source>Esc</source>
        <translation>Esc</translation>
    </message>
    <message>
        <location filename="../keys.py"/>
        <source>M, 1 to 9</source>
        <translation>M, 1 bis 9</translation>
    </message>
    <message>
        <location filename="../keys.py"/>
        <source>Set a marker</source>
        <translation>Marke setzen</translation>
    </message>
    <message>
        <location filename="../keys.py"/>
        <source>Ctrl+S</source>
        <translation>Strg+S</translation>
    </message>
    <message>
        <location filename="../keys.py"/>
        <source>Save a snapshot</source>
        <translation>Standbild speichern</translation>
    </message>
    <message>
        <location filename="../keys.py"/>
        <source>Ctrl+.</source>
        <translation>Strg+.</translation>
    </message>
    <message>
        <location filename="../keys.py"/>
        <source>Stop</source>
        <translation>Stopp</translation>
    </message>
    <message>
        <location filename="../keys.py"/>
        <source>Ctrl+O, Ctrl+Shift+O, Ctrl+U</source>
        <translation>Strg+O, Strg+Umschalt+O, Strg+U</translation>
    </message>
    <message>
        <location filename="../keys.py"/>
        <source>Open a file, a folder, a stream</source>
        <translation>Datei, Ordner oder Stream öffnen</translation>
    </message>
    <message>
        <location filename="../keys.py"/>
        <source>Left, Right</source>
        <translation>Links, Rechts</translation>
    </message>
    <message>
        <location filename="../keys.py"/>
        <source>One frame back or forward (replay, file); one picture (folder)</source>
        <translation>In Wiedergabe oder Datei ein Bild zurück oder vor; im Ordner ein Foto</translation>
    </message>
    <message>
        <location filename="../keys.py"/>
        <source>Shift+Left, Shift+Right</source>
        <translation>Umschalt+Links, Umschalt+Rechts</translation>
    </message>
    <message>
        <location filename="../keys.py"/>
        <source>Five seconds back or forward (replay, file)</source>
        <translation>In Wiedergabe oder Datei fünf Sekunden zurück oder vor</translation>
    </message>
    <message>
        <location filename="../keys.py"/>
        <source>Home, End</source>
        <translation>Pos1, Ende</translation>
    </message>
    <message>
        <location filename="../keys.py"/>
        <source>Start and end of a replay or file</source>
        <translation>Anfang und Ende von Wiedergabe oder Datei</translation>
    </message>
    <message>
        <location filename="../keys.py"/>
        <source>- and +</source>
        <translation>- und +</translation>
    </message>
    <message>
        <location filename="../keys.py"/>
        <source>Speed of a replay or file</source>
        <translation>Tempo von Wiedergabe oder Datei</translation>
    </message>
    <message>
        <location filename="../keys.py"/>
        <source>Ctrl+Plus, Ctrl+Minus</source>
        <translation>Strg+Plus, Strg+Minus</translation>
    </message>
    <message>
        <location filename="../keys.py"/>
        <source>Zoom the timeline</source>
        <translation>Zeitverlauf vergrößern oder verkleinern</translation>
    </message>
    <message>
        <location filename="../keys.py"/>
        <source>Ctrl+Left, Ctrl+Right</source>
        <translation>Strg+Links, Strg+Rechts</translation>
    </message>
    <message>
        <location filename="../keys.py"/>
        <source>Move the timeline</source>
        <translation>Zeitverlauf verschieben</translation>
    </message>
    <message>
        <location filename="../keys.py"/>
        <source>Ctrl+0</source>
        <translation>Strg+0</translation>
    </message>
    <message>
        <location filename="../keys.py"/>
        <source>Show the newest seconds, or all of a replay, in the timeline</source>
        <translation>Im Zeitverlauf die neuesten Sekunden oder die ganze Wiedergabe zeigen</translation>
    </message>
    <message>
        <location filename="../keys.py"/>
        <source>F2, Delete, Ctrl+Z</source>
        <translation>F2, Entf, Strg+Z</translation>
    </message>
    <message>
        <location filename="../keys.py"/>
        <source>In a list: rename, delete, undo</source>
        <translation>In einer Liste: umbenennen, löschen, rückgängig</translation>
    </message>
    <message>
        <location filename="../keys.py"/>
        <source>Ctrl+Q</source>
        <translation>Strg+Q</translation>
    </message>
    <message>
        <location filename="../keys.py"/>
        <source>Close the window</source>
        <translation>Fenster schließen</translation>
    </message>
    <message>
        <location filename="../keys.py"/>
        <source>Keyboard shortcuts</source>
        <translation>Tastenkürzel</translation>
    </message>
    <message numerus="yes">
        <location filename="../library.py"/>
        <source>%n rows written to {path}</source>
        <translation>
            <numerusform>%n Zeile nach {path} geschrieben</numerusform>
            <numerusform>%n Zeilen nach {path} geschrieben</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <location filename="../library.py"/>
        <source>%n frames written to {path}</source>
        <translation>
            <numerusform>%n Bild nach {path} geschrieben</numerusform>
            <numerusform>%n Bilder nach {path} geschrieben</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <location filename="../library.py"/>
        <source>%n annotations written to {path}</source>
        <translation>
            <numerusform>%n Annotation nach {path} geschrieben</numerusform>
            <numerusform>%n Annotationen nach {path} geschrieben</numerusform>
        </translation>
    </message>
    <message>
        <location filename="../library.py"/>
        <source>The video {name} is no longer in {folder}, so no picture is shown.</source>
        <translation>Das Video {name} liegt nicht mehr in {folder}, deshalb wird kein Bild gezeigt.</translation>
    </message>
    <message>
        <location filename="../library.py"/>
        <source>Find it…</source>
        <translation>Suchen…</translation>
    </message>
    <message>
        <location filename="../library.py"/>
        <source>Where is {name}?</source>
        <translation>Wo ist {name}?</translation>
    </message>
    <message>
        <location filename="../library.py"/>
        <source>Writing {name} …</source>
        <translation>Schreibt {name} …</translation>
    </message>
    <message>
        <location filename="../library.py"/>
        <source>Recorded with losses: {name}. {losses}</source>
        <translation>Mit Verlusten aufgenommen: {name}. {losses}</translation>
    </message>
    <message>
        <location filename="../library.py"/>
        <source>Recorded: {name}</source>
        <translation>Aufgenommen: {name}</translation>
    </message>
    <message>
        <location filename="../library.py"/>
        <source>Replay</source>
        <translation>Wiedergeben</translation>
    </message>
    <message>
        <location filename="../library.py"/>
        <source>Report</source>
        <translation>Bericht</translation>
    </message>
    <message>
        <location filename="../library.py"/>
        <source>Sessions…</source>
        <translation>Sitzungen…</translation>
    </message>
    <message>
        <location filename="../library.py"/>
        <source>Report written to {path}</source>
        <translation>Bericht geschrieben: {path}</translation>
    </message>
    <message>
        <location filename="../library.py"/>
        <source>Open</source>
        <translation>Öffnen</translation>
    </message>
    <message>
        <location filename="../live.py"/>
        <source>No camera found, so this is the demo clip. Connect a camera and choose it under Source, or open a video file.</source>
        <translation>Keine Kamera gefunden, deshalb läuft der Demo-Film. Schließen Sie eine Kamera an und wählen Sie sie unter Quelle, oder öffnen Sie ein Video.</translation>
    </message>
    <message>
        <location filename="../live.py"/>
        <source>{error}. Retrying automatically.</source>
        <translation>{error}. Es wird von selbst erneut versucht.</translation>
    </message>
    <message>
        <location filename="../live.py"/>
        <source>Stop trying</source>
        <translation>Nicht mehr versuchen</translation>
    </message>
    <message>
        <location filename="../live.py"/>
        <source>Try again</source>
        <translation>Erneut versuchen</translation>
    </message>
    <message>
        <location filename="../live.py"/>
        <source>Use {engine}</source>
        <translation>{engine} verwenden</translation>
    </message>
    <message>
        <location filename="../live.py"/>
        <source>Play the demo clip</source>
        <translation>Demo-Film abspielen</translation>
    </message>
    <message>
        <location filename="../live.py"/>
        <source>{camera} was connected.</source>
        <translation>{camera} wurde angeschlossen.</translation>
    </message>
    <message>
        <location filename="../live.py"/>
        <source>Use it</source>
        <translation>Verwenden</translation>
    </message>
    <message>
        <location filename="../markers.py"/>
        <source>Events (*.tsv *.csv *.txt)</source>
        <translation>Ereignisse (*.tsv *.csv *.txt)</translation>
    </message>
    <message>
        <location filename="../markers.py"/>
        <source>Markers</source>
        <translation>Marken</translation>
    </message>
    <message>
        <location filename="../markers.py"/>
        <source>Label</source>
        <translation>Bezeichnung</translation>
    </message>
    <message>
        <location filename="../markers.py"/>
        <source>At</source>
        <translation>Bei</translation>
    </message>
    <message>
        <location filename="../markers.py"/>
        <source>Lasts</source>
        <translation>Dauer</translation>
    </message>
    <message>
        <location filename="../markers.py"/>
        <source>No markers yet. Press M, or 1 to 9, at the frame that is shown.</source>
        <translation>Noch keine Marken. Drücken Sie M oder 1 bis 9 beim gezeigten Bild.</translation>
    </message>
    <message>
        <location filename="../markers.py"/>
        <source>Add here</source>
        <translation>Hier setzen</translation>
    </message>
    <message>
        <location filename="../markers.py"/>
        <source>Go to</source>
        <translation>Hingehen</translation>
    </message>
    <message>
        <location filename="../markers.py"/>
        <source>Rename…</source>
        <translation>Umbenennen…</translation>
    </message>
    <message>
        <location filename="../markers.py"/>
        <source>Ends here</source>
        <translation>Endet hier</translation>
    </message>
    <message>
        <location filename="../markers.py"/>
        <source>Delete</source>
        <translation>Löschen</translation>
    </message>
    <message>
        <location filename="../markers.py"/>
        <source>Undo</source>
        <translation>Rückgängig</translation>
    </message>
    <message>
        <location filename="../markers.py"/>
        <source>Import…</source>
        <translation>Einlesen…</translation>
    </message>
    <message>
        <location filename="../markers.py"/>
        <source>Import events</source>
        <translation>Ereignisse einlesen</translation>
    </message>
    <message>
        <location filename="../markers.py"/>
        <source>Export…</source>
        <translation>Exportieren…</translation>
    </message>
    <message>
        <location filename="../markers.py"/>
        <source>Export events</source>
        <translation>Ereignisse exportieren</translation>
    </message>
    <message>
        <location filename="../markers.py"/>
        <source>Rename</source>
        <translation>Umbenennen</translation>
    </message>
    <message>
        <location filename="../markers.py"/>
        <source>Label of the marker:</source>
        <translation>Bezeichnung der Marke:</translation>
    </message>
    <message>
        <location filename="../menus.py"/>
        <source>&amp;Session</source>
        <translation>&amp;Sitzung</translation>
    </message>
    <message>
        <location filename="../menus.py"/>
        <source>&amp;View</source>
        <translation>&amp;Ansicht</translation>
    </message>
    <message>
        <location filename="../menus.py"/>
        <source>&amp;Help</source>
        <translation>&amp;Hilfe</translation>
    </message>
    <message>
        <location filename="../menus.py"/>
        <source>Check this machine</source>
        <translation>Diesen Rechner prüfen</translation>
    </message>
    <message>
        <location filename="../menus.py"/>
        <source>Before you begin</source>
        <translation>Bevor Sie beginnen</translation>
    </message>
    <message>
        <location filename="../menus.py"/>
        <source>Record or end the recording</source>
        <translation>Aufnehmen oder Aufnahme beenden</translation>
    </message>
    <message>
        <location filename="../menus.py"/>
        <source>Set a marker  (M, or 1 to 9)</source>
        <translation>Marke setzen  (M oder 1 bis 9)</translation>
    </message>
    <message>
        <location filename="../menus.py"/>
        <source>What a recording keeps</source>
        <translation>Was eine Aufnahme behält</translation>
    </message>
    <message>
        <location filename="../menus.py"/>
        <source>Recorded sessions…</source>
        <translation>Aufgenommene Sitzungen…</translation>
    </message>
    <message>
        <location filename="../menus.py"/>
        <source>Persons of the replay…</source>
        <translation>Personen der Wiedergabe…</translation>
    </message>
    <message>
        <location filename="../menus.py"/>
        <source>Markers of the replay…</source>
        <translation>Marken der Wiedergabe…</translation>
    </message>
    <message>
        <location filename="../menus.py"/>
        <source>Analyse a video file…</source>
        <translation>Videodatei auswerten…</translation>
    </message>
    <message>
        <location filename="../menus.py"/>
        <source>Queue of videos…</source>
        <translation>Warteschlange von Videos…</translation>
    </message>
    <message>
        <location filename="../menus.py"/>
        <source>Timeline</source>
        <translation>Zeitverlauf</translation>
    </message>
    <message>
        <location filename="../menus.py"/>
        <source>Save the timeline…</source>
        <translation>Zeitverlauf speichern…</translation>
    </message>
    <message>
        <location filename="../menus.py"/>
        <source>Smoothing</source>
        <translation>Glättung</translation>
    </message>
    <message>
        <location filename="../menus.py"/>
        <source>Take a neutral baseline (10 seconds)</source>
        <translation>Neutrale Baseline aufnehmen (10 Sekunden)</translation>
    </message>
    <message>
        <location filename="../menus.py"/>
        <source>Forget the neutral baseline</source>
        <translation>Neutrale Baseline vergessen</translation>
    </message>
    <message>
        <location filename="../menus.py"/>
        <source>What the engine looks at</source>
        <translation>Worauf die Engine schaut</translation>
    </message>
    <message>
        <location filename="../menus.py"/>
        <source>Health and latency</source>
        <translation>Zustand und Verzögerung</translation>
    </message>
    <message>
        <location filename="../menus.py"/>
        <source>Settings…</source>
        <translation>Einstellungen…</translation>
    </message>
    <message>
        <location filename="../menus.py"/>
        <source>Analyse a video file</source>
        <translation>Videodatei auswerten</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>No such file or directory</source>
        <translation>Datei oder Ordner gibt es nicht</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>Permission denied</source>
        <translation>keine Berechtigung</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>No space left on device</source>
        <translation>kein Platz mehr auf dem Datenträger</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>Read-only file system</source>
        <translation>der Datenträger ist nur lesbar</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>Input/output error</source>
        <translation>Fehler beim Lesen oder Schreiben des Datenträgers</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>Is a directory</source>
        <translation>das ist ein Ordner</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>Not a directory</source>
        <translation>das ist kein Ordner</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>Network is unreachable</source>
        <translation>das Netz ist nicht erreichbar</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>No route to host</source>
        <translation>kein Weg zu diesem Rechner</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>database or disk is full</source>
        <translation>der Datenträger ist voll</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>attempt to write a readonly database</source>
        <translation>die Datenbank ist nur lesbar</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>disk I/O error</source>
        <translation>Fehler beim Lesen oder Schreiben des Datenträgers</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>unable to open database file</source>
        <translation>die Datenbank kann nicht geöffnet werden</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>file is not a database</source>
        <translation>die Datei ist keine Datenbank</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>database disk image is malformed</source>
        <translation>die Datenbank ist beschädigt</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>there is no file or folder {name}</source>
        <translation>es gibt keine Datei und keinen Ordner {name}</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>a source is a camera number, a video file, a folder of pictures, an rtsp:// or http:// address, or demo</source>
        <translation>eine Quelle ist die Nummer einer Kamera, eine Videodatei, ein Ordner mit Bildern, eine Adresse mit rtsp:// oder http://, oder demo</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{name} is not a regular file</source>
        <translation>{name} ist keine gewöhnliche Datei</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{path} is not a file</source>
        <translation>{path} ist keine Datei</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>check the path</source>
        <translation>prüfen Sie den Pfad</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>check the file's permissions</source>
        <translation>prüfen Sie die Berechtigungen der Datei</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>check the path and its permissions</source>
        <translation>prüfen Sie den Pfad und seine Berechtigungen</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>check its permissions</source>
        <translation>prüfen Sie die Berechtigungen</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>cannot read {path}: {reason}</source>
        <translation>{path} kann nicht gelesen werden: {reason}</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>cannot read the folder {path}: {reason}</source>
        <translation>der Ordner {path} kann nicht gelesen werden: {reason}</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{path} is empty</source>
        <translation>{path} ist leer</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>copy or record it again</source>
        <translation>kopieren oder filmen Sie es noch einmal</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{path} is not a video that FFmpeg can read</source>
        <translation>{path} ist kein Video, das FFmpeg lesen kann</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{path} is not a video</source>
        <translation>{path} ist kein Video</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>give a video file such as .mp4, .mkv or .avi</source>
        <translation>wählen Sie eine Videodatei, etwa .mp4, .mkv oder .avi</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{path} has no frame that can be decoded</source>
        <translation>{path} enthält kein lesbares Bild</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{path} is not complete: it ends before its first frame can be read</source>
        <translation>{path} ist unvollständig: es endet vor dem ersten lesbaren Bild</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{path} is cut off after frame {frame} of {count}: the file is not complete ({reason})</source>
        <translation>{path} endet nach Bild {frame} von {count}: die Datei ist unvollständig ({reason})</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{path} is cut off after frame {frame}: the file is not complete ({reason})</source>
        <translation>{path} endet nach Bild {frame}: die Datei ist unvollständig ({reason})</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{path} cannot be read after frame {frame} of {count}: {reason}</source>
        <translation>{path} kann nach Bild {frame} von {count} nicht weiter gelesen werden: {reason}</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{path} cannot be read after frame {frame}: {reason}</source>
        <translation>{path} kann nach Bild {frame} nicht weiter gelesen werden: {reason}</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{path} cannot be read: {reason}</source>
        <translation>{path} kann nicht gelesen werden: {reason}</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>check its disk or network, then try again</source>
        <translation>Datenträger oder Netzwerk prüfen, dann erneut versuchen</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>no data arrived in time</source>
        <translation>es kamen nicht rechtzeitig Daten</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>the rest cannot be decoded</source>
        <translation>der Rest ist nicht lesbar</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>its last frame is not complete</source>
        <translation>das letzte Bild ist unvollständig</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>its index lists frames beyond the file's end</source>
        <translation>laut Verzeichnis hat die Datei mehr Bilder</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>it should last {seconds} s</source>
        <translation>laut Datei dauert es {seconds} s</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>reading failed</source>
        <translation>das Lesen schlug fehl</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{path} is not a readable picture</source>
        <translation>{path} ist kein lesbares Bild</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>no pictures in the folder {path}</source>
        <translation>im Ordner {path} sind keine Bilder</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>it needs .jpg, .png or other picture files, not subfolders</source>
        <translation>nötig sind .jpg, .png oder andere Bilddateien, keine Unterordner</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>none of the {count} pictures in {path} can be read</source>
        <translation>keines der {count} Bilder in {path} ist lesbar</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>give another folder</source>
        <translation>wählen Sie einen anderen Ordner</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{path} has {width} x {height} pixels</source>
        <translation>{path} hat {width} x {height} Pixel</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{path} has frames of {width} x {height} pixels</source>
        <translation>{path} hat Bilder mit {width} x {height} Pixeln</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>the limit is {count} million</source>
        <translation>die Grenze liegt bei {count} Millionen</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>the limit is {count} million, so make it smaller</source>
        <translation>die Grenze liegt bei {count} Millionen; bitte verkleinern</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{path} consists of tiles</source>
        <translation>{path} besteht aus Kacheln</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>to read it: {command}</source>
        <translation>um sie zu lesen: {command}</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{path} cannot be read to its end: {reason}</source>
        <translation>{path} lässt sich nicht bis zum Ende lesen: {reason}</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>the path {name} is too long</source>
        <translation>der Pfad {name} ist zu lang</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>a name has at most {count} bytes</source>
        <translation>ein Name hat höchstens {count} Bytes</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>videos need the package av (PyAV), which cannot be loaded ({reason}): pip install av</source>
        <translation>für Videos fehlt das Paket av (PyAV), das sich nicht laden lässt ({reason}): pip install av</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>there is no {name}</source>
        <translation>{name} ist nicht vorhanden</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{name}: {device} does not exist</source>
        <translation>{name}: {device} gibt es nicht</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>no camera is connected</source>
        <translation>keine Kamera ist angeschlossen</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>connect one, or try the source demo</source>
        <translation>schließen Sie eine an, oder wählen Sie die Quelle demo</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>connected: {cameras}</source>
        <translation>angeschlossen: {cameras}</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{device} is not a camera</source>
        <translation>{device} ist keine Kamera</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>cannot open {name}: {reason}</source>
        <translation>{name} kann nicht geöffnet werden: {reason}</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>permission denied</source>
        <translation>keine Berechtigung</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>add yourself to the group video and log in again</source>
        <translation>nehmen Sie sich in die Gruppe video auf und melden Sie sich neu an</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>another program uses it</source>
        <translation>ein anderes Programm benutzt sie</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>another program may be using it</source>
        <translation>vielleicht benutzt ein anderes Programm sie</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>close that first</source>
        <translation>schließen Sie es zuerst</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{name} stopped after {count} frames</source>
        <translation>{name} liefert nach {count} Bildern nichts mehr</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{name} ended after {count} frames</source>
        <translation>{name} endete nach {count} Bildern</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>check its cable, then start again</source>
        <translation>prüfen Sie das Kabel und starten Sie neu</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>check its cable</source>
        <translation>prüfen Sie das Kabel</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{name} delivers no picture</source>
        <translation>{name} liefert kein Bild</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>close other programs that use it, or reconnect it</source>
        <translation>schließen Sie Programme, die sie benutzen, oder stecken Sie sie neu ein</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{name} ended after {count} frames: {reason}</source>
        <translation>{name} endete nach {count} Bildern: {reason}</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>check the camera, then start again</source>
        <translation>prüfen Sie die Kamera und starten Sie neu</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>the connection failed</source>
        <translation>die Verbindung brach ab</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>the server closed the connection</source>
        <translation>der Server hat die Verbindung beendet</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>no data for {seconds} s</source>
        <translation>seit {seconds} s keine Daten</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>there is no host {host}</source>
        <translation>es gibt keinen Rechner {host}</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>check the address</source>
        <translation>prüfen Sie die Adresse</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{host} refuses the connection</source>
        <translation>{host} weist die Verbindung ab</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>check the port, and whether the camera is on</source>
        <translation>prüfen Sie den Port, und ob die Kamera an ist</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{host} does not answer</source>
        <translation>{host} antwortet nicht</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>check the address and the network</source>
        <translation>prüfen Sie die Adresse und das Netz</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{host} cannot be reached ({reason})</source>
        <translation>{host} ist nicht erreichbar ({reason})</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>check the network</source>
        <translation>prüfen Sie das Netz</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{host} answers, but not with a video</source>
        <translation>{host} antwortet, aber nicht mit einem Video</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>check path, user name and password</source>
        <translation>prüfen Sie Pfad, Benutzername und Passwort</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>give the address of a video</source>
        <translation>geben Sie die Adresse eines Videos an</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{name} names no host</source>
        <translation>{name} nennt keinen Rechner</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{name} is not a valid address</source>
        <translation>{name} ist keine gültige Adresse</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>write it as rtsp://host:port/path</source>
        <translation>schreiben Sie sie als rtsp://host:port/path</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{scheme}:// is not a kind of source</source>
        <translation>{scheme}:// ist keine Art von Quelle</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{name}: user, password or path contain a reserved character</source>
        <translation>{name}: Benutzer, Passwort oder Pfad enthalten ein reserviertes Zeichen</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>write @ as %40, / as %2F, ? as %3F and # as %23 there</source>
        <translation>dort @ als %40, / als %2F, ? als %3F und # als %23 schreiben</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{name} cannot be read: {host}:{port} does not support byte ranges, and this file has its index at its end</source>
        <translation>{name} lässt sich nicht lesen: {host}:{port} liefert keine Teile von Dateien, und der Index dieser Datei steht am Ende</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>copy it to this machine, or write it with its index first (ffmpeg -movflags faststart)</source>
        <translation>auf diesen Rechner kopieren oder mit dem Index am Anfang schreiben (ffmpeg -movflags faststart)</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>no engine folder at {path}</source>
        <translation>{path} ist kein Ordner einer Engine</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>no engine named {name}</source>
        <translation>es gibt keine Engine {name}</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>there are: {names} (or give the path of a bundle folder)</source>
        <translation>vorhanden sind: {names} (oder wählen Sie den Ordner einer Engine)</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>cannot load {path}: {reason}</source>
        <translation>{path} kann nicht geladen werden: {reason}</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>export or download the bundle again</source>
        <translation>exportieren oder laden Sie die Engine noch einmal</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>export or download it again</source>
        <translation>exportieren oder laden Sie die Engine noch einmal</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>copy or make the bundle again</source>
        <translation>kopieren oder erzeugen Sie die Engine noch einmal</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>copy or make the bundle again, or, if you edited it on purpose, run: edgeemo-export --write-manifest {path}</source>
        <translation>kopieren oder erzeugen Sie die Engine noch einmal; nach einer gewollten Änderung hilft: edgeemo-export --write-manifest {path}</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>reinstall edgeemo, or, if you edited it on purpose, add --allow-modified</source>
        <translation>installieren Sie edgeemo neu; nach einer gewollten Änderung hilft --allow-modified</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>make the bundle again</source>
        <translation>erzeugen Sie die Engine noch einmal</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>make it again</source>
        <translation>erzeugen Sie sie noch einmal</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>it is damaged or cut off</source>
        <translation>die Datei ist beschädigt oder unvollständig</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>it is damaged or cut off ({length} bytes announced, {rest} present)</source>
        <translation>die Datei ist beschädigt oder unvollständig ({length} Bytes angekündigt, {rest} vorhanden)</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>it is not an ONNX model</source>
        <translation>die Datei ist kein ONNX-Modell</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>it is cut off</source>
        <translation>die Datei ist unvollständig</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{path} is missing</source>
        <translation>{path} fehlt</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{path} has {size} bytes, {manifest} lists {listed}</source>
        <translation>{path} hat {size} Bytes, laut {manifest} {listed}</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{path} differs from its entry in {manifest}</source>
        <translation>{path} weicht vom Eintrag in {manifest} ab</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{path} has no {model}, and no {manifest} lists an export to use instead</source>
        <translation>{path} enthält kein {model}, und keine {manifest} nennt einen Export, der es ersetzt</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{name} has no {precision} model</source>
        <translation>{name} hat kein Modell mit {precision}</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{path} is not a bundle: it has no {name}</source>
        <translation>{path} ist keine Engine: {name} fehlt</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{name} cannot be used ({backend}): {reason}</source>
        <translation>{name} ist nicht verwendbar ({backend}): {reason}</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>backend {name} is not available: {reason}</source>
        <translation>das Backend {name} ist nicht verfügbar: {reason}</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>the classes of {name} differ from those of the open outputs</source>
        <translation>die Klassen von {name} sind andere als die der laufenden Ausgaben</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>stop the outputs first</source>
        <translation>beenden Sie diese zuerst</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{path} is not a valid {name} ({reason})</source>
        <translation>{path} ist keine gültige Datei {name} ({reason})</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>engine {name} returned values that are not finite numbers ({reason})</source>
        <translation>die Engine {name} lieferte Werte, die keine endlichen Zahlen sind ({reason})</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>export it again in a higher precision</source>
        <translation>mit höherer Genauigkeit neu exportieren</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{path} was changed after the bundle was made</source>
        <translation>{path} wurde nach dem Erstellen der Engine geändert</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{path} did not pass its parity report</source>
        <translation>{path} hat den Vergleich mit dem Original nicht bestanden</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>cannot record into {path} ({reason})</source>
        <translation>in {path} kann nicht aufgenommen werden ({reason})</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>cannot record into {path}: {reason}</source>
        <translation>in {path} kann nicht aufgenommen werden: {reason}</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>choose another folder or free some space</source>
        <translation>wählen Sie einen anderen Ordner oder schaffen Sie Platz</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>cannot record: {path} is a file, not a folder</source>
        <translation>Aufnahme nicht möglich: {path} ist eine Datei, kein Ordner</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>move it away</source>
        <translation>verschieben Sie sie</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>the folder {path} was moved or deleted</source>
        <translation>der Ordner {path} wurde verschoben oder gelöscht</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>recording could not continue after {time}: {reason}</source>
        <translation>die Aufnahme brach nach {time} ab: {reason}</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>the video could not continue after {time}: {reason}</source>
        <translation>das Video brach nach {time} ab: {reason}</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>a note could not be stored at {time}: {reason}</source>
        <translation>eine Notiz konnte bei {time} nicht gespeichert werden: {reason}</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{space} of disk space left, enough for about {minutes} minutes</source>
        <translation>noch {space} Speicherplatz, genug für etwa {minutes} Minuten</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{space} of disk space left</source>
        <translation>noch {space} Speicherplatz</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>the data continue</source>
        <translation>die Daten werden weiter aufgenommen</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{count} pictures of the video: the encoder was too slow</source>
        <translation>{count} Bilder des Videos: der Encoder war zu langsam</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>The end of the file: {reason}</source>
        <translation>Das Ende der Datei: {reason}</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{lost} of the {count} frames of {name} could not be read</source>
        <translation>{lost} der {count} Bilder von {name} waren nicht lesbar</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>the file is damaged</source>
        <translation>die Datei ist beschädigt</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>1 picture of the source, lost or decoded with errors (the first at {time})</source>
        <translation>1 Bild der Quelle, verloren oder fehlerhaft (bei {time})</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{count} pictures of the source, lost or decoded with errors (the first at {time})</source>
        <translation>{count} Bilder der Quelle, verloren oder fehlerhaft (das erste bei {time})</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>The end: the recording was not closed (a crash or a full disk), so up to one second is missing.</source>
        <translation>Das Ende: Die Aufnahme wurde nicht beendet (Absturz oder voller Datenträger), bis zu eine Sekunde fehlt.</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{path} is not a recorded session: {file} is missing or damaged</source>
        <translation>{path} ist keine aufgenommene Sitzung: {file} fehlt oder ist beschädigt</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{path} has no events</source>
        <translation>{path} enthält keine Ereignisse</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>the session ended within its first second</source>
        <translation>die Sitzung endete in ihrer ersten Sekunde</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{path} is not a database of results ({reason})</source>
        <translation>{path} ist keine Datenbank mit Ergebnissen ({reason})</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>a session needs a name</source>
        <translation>eine Sitzung braucht einen Namen</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>type one</source>
        <translation>geben Sie einen ein</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>cannot delete {path} ({reason})</source>
        <translation>{path} kann nicht gelöscht werden ({reason})</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>cannot move {path} to {folder} ({reason})</source>
        <translation>{path} kann nicht nach {folder} verschoben werden ({reason})</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{first} and {second} are visible together (at {time}), so they cannot be merged</source>
        <translation>{first} und {second} sind zugleich im Bild (bei {time}), sind also verschiedene Personen</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{person} cannot be split there: choose a moment while that face is visible</source>
        <translation>{person} kann dort nicht geteilt werden: Wählen Sie eine Stelle, an der das Gesicht zu sehen ist</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{file} needs a first line with the columns onset, duration and trial_type (or label)</source>
        <translation>{file} braucht eine erste Zeile mit den Spalten onset, duration und trial_type (oder label)</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{file} line {number}: {name} {text} is not a number of seconds</source>
        <translation>{file}, Zeile {number}: {name} {text} ist keine Zahl von Sekunden</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{file} line {number}: a duration is 0 or more seconds</source>
        <translation>{file}, Zeile {number}: eine Dauer ist 0 oder mehr Sekunden</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{name} is not the video that was analysed</source>
        <translation>{name} ist nicht das ausgewertete Video</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{name} is the video that was analysed</source>
        <translation>{name} ist das ausgewertete Video</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>choose {name}</source>
        <translation>bitte {name} wählen</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>cannot read {path} ({reason})</source>
        <translation>{path} lässt sich nicht lesen ({reason})</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{file} line {number} has {count} columns instead of {wanted}</source>
        <translation>{file}, Zeile {number} hat {count} statt {wanted} Spalten</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{path} is damaged ({reason})</source>
        <translation>{path} ist beschädigt ({reason})</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>delete it to get the persons as recorded</source>
        <translation>löschen, um die Personen wie aufgenommen zu erhalten</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{path} is a symbolic link</source>
        <translation>{path} ist ein symbolischer Link</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>delete its target by hand</source>
        <translation>das Ziel von Hand löschen</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>the video was not finished within {seconds} s</source>
        <translation>das Video wurde nicht innerhalb von {seconds} s fertig</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{name} has no frames to show</source>
        <translation>{name} hat keine Bilder, die gezeigt werden könnten</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>another window has changed the persons of this session</source>
        <translation>ein anderes Fenster hat die Personen dieser Sitzung geändert</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>replay it again</source>
        <translation>geben Sie sie noch einmal wieder</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>cannot save the plot as {name}: give a name that ends in .png or .svg</source>
        <translation>der Zeitverlauf kann nicht als {name} gespeichert werden: geben Sie einen Namen an, der auf .png oder .svg endet</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>cannot save the snapshot to {path} ({reason})</source>
        <translation>das Standbild kann nicht als {path} gespeichert werden ({reason})</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>cannot save the snapshot in {path} ({reason})</source>
        <translation>das Standbild kann nicht in {path} gespeichert werden ({reason})</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>cannot save the snapshot: {path} is a file, not a folder</source>
        <translation>das Standbild kann nicht gespeichert werden: {path} ist eine Datei, kein Ordner</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>free some space or permit writing</source>
        <translation>schaffen Sie Platz, oder erlauben Sie das Schreiben</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>Parquet needs pyarrow, which is not installed: {command}, or export as .csv</source>
        <translation>für Parquet fehlt pyarrow: {command}, oder als .csv exportieren</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>cannot write {path}: {reason}</source>
        <translation>{path} kann nicht geschrieben werden: {reason}</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>cannot write {path} ({reason})</source>
        <translation>{path} kann nicht geschrieben werden ({reason})</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>cannot write {path}</source>
        <translation>{path} kann nicht geschrieben werden</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>cannot write {path}: it is a folder</source>
        <translation>{path} kann nicht geschrieben werden: das ist ein Ordner</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>cannot write {path}: the folder {folder} does not exist</source>
        <translation>{path} kann nicht geschrieben werden: den Ordner {folder} gibt es nicht</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>create it first</source>
        <translation>legen Sie ihn zuerst an</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>give the name of a file</source>
        <translation>geben Sie den Namen einer Datei an</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>choose another path</source>
        <translation>wählen Sie einen anderen Pfad</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>choose another folder</source>
        <translation>wählen Sie einen anderen Ordner</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>cannot continue writing {path}: the disk is full</source>
        <translation>{path} kann nicht weiter geschrieben werden: der Datenträger ist voll</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>cannot continue writing {path}: its folder was moved or deleted</source>
        <translation>{path} kann nicht weiter geschrieben werden: der Ordner wurde verschoben oder gelöscht</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>cannot continue writing {path}: {reason}</source>
        <translation>{path} kann nicht weiter geschrieben werden: {reason}</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>cannot continue writing {path} ({reason})</source>
        <translation>{path} kann nicht weiter geschrieben werden ({reason})</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>earlier results are kept</source>
        <translation>frühere Ergebnisse sind gespeichert</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>earlier frames are kept</source>
        <translation>frühere Bilder sind gespeichert</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>results before the last second are kept</source>
        <translation>Ergebnisse bis zur letzten Sekunde sind gespeichert</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{path} is being written by another run</source>
        <translation>{path} wird gerade von einem anderen Lauf geschrieben</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>cannot export to {file}: give a name that ends in {endings} or {last}</source>
        <translation>Export nach {file} nicht möglich: Der Name muss auf {endings} oder {last} enden</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>cannot export {count} sessions to {file}: an .eaf file contains one session</source>
        <translation>{count} Sitzungen passen nicht in {file}: eine .eaf-Datei enthält eine Sitzung</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{path} exists and is not {kind}</source>
        <translation>{path} gibt es schon, und es ist nicht {kind}</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{path} is a database of another program</source>
        <translation>{path} ist die Datenbank eines anderen Programms</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{path} has no reader</source>
        <translation>{path} wird nicht gelesen</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>standard output is closed</source>
        <translation>die Standardausgabe ist geschlossen</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>cannot listen on {address} for sink {name}: {reason}</source>
        <translation>auf {address} kann für die Ausgabe {name} nicht gewartet werden: {reason}</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>choose another port</source>
        <translation>einen anderen Port wählen</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>sink {name} needs {package}, which is not installed: {command}</source>
        <translation>für die Ausgabe {name} fehlt {package}: {command}</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>sink {name} would overwrite the source</source>
        <translation>die Ausgabe {name} würde die Quelle überschreiben</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>sinks {first} and {second} write to the same place</source>
        <translation>die Ausgaben {first} und {second} schreiben an dieselbe Stelle</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{version} on {system}</source>
        <translation>{version} auf {system}</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>cannot import {names}</source>
        <translation>nicht ladbar: {names}</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{names} overwrite each other's files</source>
        <translation>{names} überschreiben sich gegenseitig</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>not from a wheel</source>
        <translation>nicht aus einem Wheel</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{description} (asked for)</source>
        <translation>{description} (verlangt)</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{description} (installed, and tested to send nothing)</source>
        <translation>{description} (installiert; geprüft, dass nichts gesendet wird)</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>MediaPipe is not installed: {command}, or use the runtime onnx</source>
        <translation>MediaPipe ist nicht installiert: {command}, oder die Laufzeit onnx verwenden</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{name}: {description}, {ms} ms per face</source>
        <translation>{name}: {description}, {ms} ms pro Gesicht</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>see edgeemo engines for the available ones</source>
        <translation>edgeemo engines zeigt die vorhandenen</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{faces} faces in {frames} frames of the demo clip, {ms} ms each</source>
        <translation>{faces} Gesichter in {frames} Bildern des Demo-Films, je {ms} ms</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>no face found in {frames} frames of the demo clip</source>
        <translation>kein Gesicht in {frames} Bildern des Demo-Films gefunden</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>fix the faults above first</source>
        <translation>zuerst die Fehler darüber beheben</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>none found</source>
        <translation>keine gefunden</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>plug one in, or use a file, a stream or the demo clip as source</source>
        <translation>eine anschließen, oder eine Datei, einen Stream oder den Demo-Film als Quelle wählen</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>no permission for {devices}</source>
        <translation>keine Berechtigung für {devices}</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>sudo usermod -aG video $USER, then log in again</source>
        <translation>sudo usermod -aG video $USER, dann neu anmelden</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>cameras and pictures work without it</source>
        <translation>Kameras und Bilder funktionieren ohne</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>H.264: {reason}</source>
        <translation>H.264: {reason}</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>H.265: {reason}</source>
        <translation>H.265: {reason}</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>others: {reason}</source>
        <translation>andere: {reason}</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>FFmpeg, on the CPU</source>
        <translation>FFmpeg, auf dem Prozessor</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>not installed</source>
        <translation>nicht installiert</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>only lsl: needs it ({command})</source>
        <translation>nur lsl: braucht es ({command})</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>pylsl is missing: {command}</source>
        <translation>pylsl fehlt: {command}</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>liblsl is not installed (pylsl has it for x86-64 only): install a package from github.com/sccn/liblsl</source>
        <translation>liblsl ist nicht installiert (pylsl enthält es nur für x86-64): ein Paket von github.com/sccn/liblsl installieren</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>install it, and name its file in PYLSL_LIB if it is not found</source>
        <translation>installieren, und falls es nicht gefunden wird, die Datei in PYLSL_LIB nennen</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>only the app needs it</source>
        <translation>nur das Fenster braucht es</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>edgeemo run works without</source>
        <translation>edgeemo run funktioniert ohne</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>PyQt6 {version}, display found</source>
        <translation>PyQt6 {version}, Bildschirm gefunden</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>no NVIDIA GPU found</source>
        <translation>keine NVIDIA-GPU gefunden</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>nvidia-smi does not answer</source>
        <translation>nvidia-smi antwortet nicht</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>tensorrt: {reason}</source>
        <translation>tensorrt: {reason}</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>onnx-cuda: {reason}</source>
        <translation>onnx-cuda: {reason}</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>can be used</source>
        <translation>verwendbar</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{command}, on a Jetson both come with JetPack ({package} is not installed)</source>
        <translation>{command}; auf einem Jetson bringt JetPack beide mit ({package} ist nicht installiert)</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>{command} in place of onnxruntime (this build of ONNX Runtime has only {names})</source>
        <translation>{command} anstelle von onnxruntime (diese ONNX Runtime hat nur {names})</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>no NVIDIA GPU can be used (none was found)</source>
        <translation>keine NVIDIA-GPU verwendbar (keine gefunden)</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>onnxruntime-gpu cannot run on a Jetson</source>
        <translation>onnxruntime-gpu läuft nicht auf einem Jetson</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>JetPack 6.2 or later with TensorRT 10.3: docs/jetson.md</source>
        <translation>JetPack 6.2 oder neuer mit TensorRT 10.3: docs/jetson.md</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>reinstall edgeemo in a fresh environment: {command}</source>
        <translation>edgeemo in einer frischen Umgebung neu installieren: {command}</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>packages</source>
        <translation>Pakete</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>detector</source>
        <translation>Gesichtssuche</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>engine</source>
        <translation>Engine</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>main job</source>
        <translation>Hauptaufgabe</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>cameras</source>
        <translation>Kameras</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>decoders</source>
        <translation>Decoder</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>lab streaming</source>
        <translation>Lab Streaming</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>window</source>
        <translation>Fenster</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>accelerator</source>
        <translation>Beschleuniger</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>mark {number}</source>
        <translation>Marke {number}</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>no signal</source>
        <translation>kein Signal</translation>
    </message>
    <message>
        <location filename="../messages.py"/>
        <source>unsure below {percent} %</source>
        <translation>unsicher unter {percent} %</translation>
    </message>
    <message>
        <location filename="../neutral_baseline.py"/>
        <source>Against the neutral baseline: {changes}</source>
        <translation>Gegenüber der neutralen Baseline: {changes}</translation>
    </message>
    <message>
        <location filename="../neutral_baseline.py"/>
        <source>no difference</source>
        <translation>kein Unterschied</translation>
    </message>
    <message>
        <location filename="../neutral_baseline.py"/>
        <source>The neutral baselines of the other engine were removed.</source>
        <translation>Die neutralen Baselines der anderen Engine wurden entfernt.</translation>
    </message>
    <message>
        <location filename="../neutral_baseline.py"/>
        <source>To take a neutral baseline, play the picture and select a tracked face.</source>
        <translation>Für eine neutrale Baseline das Bild abspielen und ein verfolgtes Gesicht auswählen.</translation>
    </message>
    <message numerus="yes">
        <location filename="../neutral_baseline.py"/>
        <source>Person {number}: look neutral for %n seconds.</source>
        <translation>
            <numerusform>Person {number}: bitte %n Sekunde lang neutral schauen.</numerusform>
            <numerusform>Person {number}: bitte %n Sekunden lang neutral schauen.</numerusform>
        </translation>
    </message>
    <message>
        <location filename="../neutral_baseline.py"/>
        <source>Person {number} was seen too rarely in these seconds.</source>
        <translation>Person {number} war in diesen Sekunden zu selten zu sehen.</translation>
    </message>
    <message>
        <location filename="../neutral_baseline.py"/>
        <source>Again</source>
        <translation>Noch einmal</translation>
    </message>
    <message>
        <location filename="../neutral_baseline.py"/>
        <source>Person {number}: the neutral baseline is taken.</source>
        <translation>Person {number}: Die neutrale Baseline ist aufgenommen.</translation>
    </message>
    <message>
        <location filename="../people.py"/>
        <source>Select two or more to merge them into one person. A split starts at the current frame. The recording itself does not change.</source>
        <translation>Wählen Sie zwei oder mehr, um zu sagen, dass sie eine Person sind. Eine Teilung beginnt beim gezeigten Bild. Die Aufnahme selbst bleibt, wie sie ist.</translation>
    </message>
    <message>
        <location filename="../people.py"/>
        <source>Name</source>
        <translation>Name</translation>
    </message>
    <message>
        <location filename="../people.py"/>
        <source>Name of {person}:</source>
        <translation>Name von {person}:</translation>
    </message>
    <message>
        <location filename="../people.py"/>
        <source>Name…</source>
        <translation>Name…</translation>
    </message>
    <message>
        <location filename="../people.py"/>
        <source>Same person as</source>
        <translation>Dieselbe Person wie</translation>
    </message>
    <message>
        <location filename="../people.py"/>
        <source>Another person from here on</source>
        <translation>Ab hier jemand anderes</translation>
    </message>
    <message>
        <location filename="../people.py"/>
        <source>Leave out</source>
        <translation>Auslassen</translation>
    </message>
    <message>
        <location filename="../people.py"/>
        <source>Persons</source>
        <translation>Personen</translation>
    </message>
    <message>
        <location filename="../people.py"/>
        <source>Number</source>
        <translation>Nummer</translation>
    </message>
    <message>
        <location filename="../people.py"/>
        <source>First seen</source>
        <translation>Zuerst gesehen</translation>
    </message>
    <message>
        <location filename="../people.py"/>
        <source>Seen for</source>
        <translation>Gesehen</translation>
    </message>
    <message>
        <location filename="../people.py"/>
        <source>Merge</source>
        <translation>Zusammenführen</translation>
    </message>
    <message>
        <location filename="../people.py"/>
        <source>Split here</source>
        <translation>Hier teilen</translation>
    </message>
    <message>
        <location filename="../people.py"/>
        <source>Take in</source>
        <translation>Aufnehmen</translation>
    </message>
    <message>
        <location filename="../people.py"/>
        <source>left out</source>
        <translation>ausgelassen</translation>
    </message>
    <message>
        <location filename="../pickers.py"/>
        <source>Demo clip</source>
        <translation>Demo-Film</translation>
    </message>
    <message>
        <location filename="../pickers.py"/>
        <source>Camera {number}</source>
        <translation>Kamera {number}</translation>
    </message>
    <message>
        <location filename="../pickers.py"/>
        <source>stream</source>
        <translation>Stream</translation>
    </message>
    <message>
        <location filename="../pickers.py"/>
        <source>Source</source>
        <translation>Quelle</translation>
    </message>
    <message>
        <location filename="../pickers.py"/>
        <source>Open file…</source>
        <translation>Datei öffnen…</translation>
    </message>
    <message>
        <location filename="../pickers.py"/>
        <source>Open folder…</source>
        <translation>Ordner öffnen…</translation>
    </message>
    <message>
        <location filename="../pickers.py"/>
        <source>Open stream URL…</source>
        <translation>Stream-Adresse öffnen…</translation>
    </message>
    <message>
        <location filename="../pickers.py"/>
        <source>No camera found</source>
        <translation>Keine Kamera gefunden</translation>
    </message>
    <message>
        <location filename="../pickers.py"/>
        <source>Open a video or picture</source>
        <translation>Video oder Bild öffnen</translation>
    </message>
    <message>
        <location filename="../pickers.py"/>
        <source>Open a folder of pictures</source>
        <translation>Ordner mit Bildern öffnen</translation>
    </message>
    <message>
        <location filename="../pickers.py"/>
        <source>Open a stream</source>
        <translation>Stream öffnen</translation>
    </message>
    <message>
        <location filename="../pickers.py"/>
        <source>Address of the stream (rtsp://… or http://…):</source>
        <translation>Adresse des Streams (rtsp://… oder http://…):</translation>
    </message>
    <message>
        <location filename="../pickers.py"/>
        <source>Measure their speed here</source>
        <translation>Ihr Tempo hier messen</translation>
    </message>
    <message>
        <location filename="../pickers.py"/>
        <source>Takes some seconds per engine; playback is slower meanwhile</source>
        <translation>Dauert einige Sekunden pro Engine; was läuft, ist währenddessen langsamer</translation>
    </message>
    <message>
        <location filename="../pickers.py"/>
        <source>Open engine folder…</source>
        <translation>Engine-Ordner öffnen…</translation>
    </message>
    <message>
        <location filename="../pickers.py"/>
        <source>No engine found</source>
        <translation>Keine Engine gefunden</translation>
    </message>
    <message>
        <location filename="../pickers.py"/>
        <source>Measuring their speed …</source>
        <translation>Tempo wird gemessen …</translation>
    </message>
    <message>
        <location filename="../pickers.py"/>
        <source>Open an engine folder (spec.json, model.onnx)</source>
        <translation>Engine-Ordner öffnen (spec.json, model.onnx)</translation>
    </message>
    <message>
        <location filename="../plot_file.py"/>
        <source>PNG (*.png)</source>
        <translation>PNG (*.png)</translation>
    </message>
    <message>
        <location filename="../plot_file.py"/>
        <source>SVG (*.svg)</source>
        <translation>SVG (*.svg)</translation>
    </message>
    <message>
        <location filename="../plot_file.py"/>
        <source>Save the plot</source>
        <translation>Diagramm speichern</translation>
    </message>
    <message>
        <location filename="../preferences.py"/>
        <source>As the desktop</source>
        <translation>Wie der Desktop</translation>
    </message>
    <message>
        <location filename="../preferences.py"/>
        <source>Light</source>
        <translation>Hell</translation>
    </message>
    <message>
        <location filename="../preferences.py"/>
        <source>Dark</source>
        <translation>Dunkel</translation>
    </message>
    <message>
        <location filename="../preferences.py"/>
        <source>Settings</source>
        <translation>Einstellungen</translation>
    </message>
    <message>
        <location filename="../preferences.py"/>
        <source>Default: {percent}</source>
        <translation>{percent}, wenn Sie nichts anderes wählen</translation>
    </message>
    <message>
        <location filename="../preferences.py"/>
        <source>Choose…</source>
        <translation>Wählen…</translation>
    </message>
    <message>
        <location filename="../preferences.py"/>
        <source>Choose the folder of sessions</source>
        <translation>Ordner der Sitzungen wählen</translation>
    </message>
    <message>
        <location filename="../preferences.py"/>
        <source>&amp;Theme</source>
        <translation>&amp;Farben</translation>
    </message>
    <message>
        <location filename="../preferences.py"/>
        <source>&amp;Language</source>
        <translation>&amp;Sprache</translation>
    </message>
    <message>
        <location filename="../preferences.py"/>
        <source>&amp;Recording</source>
        <translation>&amp;Aufnahme</translation>
    </message>
    <message>
        <location filename="../preferences.py"/>
        <source>&amp;Smoothing</source>
        <translation>&amp;Glättung</translation>
    </message>
    <message>
        <location filename="../preferences.py"/>
        <source>&amp;Unsure below</source>
        <translation>&amp;Unsicher unter</translation>
    </message>
    <message>
        <location filename="../preferences.py"/>
        <source>Sessions in</source>
        <translation>Sitzungen in</translation>
    </message>
    <message>
        <location filename="../preferences.py"/>
        <source>Playback continues; a recording gets a marker for a change of smoothing or limit.</source>
        <translation>Was läuft, läuft weiter; eine andere Glättung oder Grenze wird in der Aufnahme markiert.</translation>
    </message>
    <message>
        <location filename="../preferences.py"/>
        <source>The language changes when edgeemo is started again.</source>
        <translation>Die Sprache wechselt, wenn edgeemo neu gestartet wird.</translation>
    </message>
    <message>
        <location filename="../preferences.py"/>
        <source>Where sessions are kept</source>
        <translation>Wo Sitzungen liegen</translation>
    </message>
    <message>
        <location filename="../queue.py"/>
        <source>waits</source>
        <translation>wartet</translation>
    </message>
    <message>
        <location filename="../queue.py"/>
        <source>done</source>
        <translation>fertig</translation>
    </message>
    <message>
        <location filename="../queue.py"/>
        <source>Drop videos or folders here, or add some.</source>
        <translation>Ziehen Sie Videos oder Ordner hierher oder fügen Sie welche hinzu.</translation>
    </message>
    <message numerus="yes">
        <location filename="../queue.py"/>
        <source>{done} of %n files</source>
        <translation>
            <numerusform>{done} von %n Datei</numerusform>
            <numerusform>{done} von %n Dateien</numerusform>
        </translation>
    </message>
    <message>
        <location filename="../queue.py"/>
        <source>Queue of videos</source>
        <translation>Warteschlange von Videos</translation>
    </message>
    <message>
        <location filename="../queue.py"/>
        <source>Looking for videos …</source>
        <translation>Sucht Videos …</translation>
    </message>
    <message>
        <location filename="../queue.py"/>
        <source>Pausing …</source>
        <translation>Hält an …</translation>
    </message>
    <message>
        <location filename="../queue.py"/>
        <source>Dataset: {folder}</source>
        <translation>Datensatz: {folder}</translation>
    </message>
    <message>
        <location filename="../queue.py"/>
        <source>Pause</source>
        <translation>Anhalten</translation>
    </message>
    <message>
        <location filename="../queue.py"/>
        <source>Resume</source>
        <translation>Fortsetzen</translation>
    </message>
    <message>
        <location filename="../queue.py"/>
        <source>Stop the queue? Finished files are kept, and it can be resumed.</source>
        <translation>Warteschlange beenden? Was fertig ist, bleibt, und sie kann fortgesetzt werden.</translation>
    </message>
    <message>
        <location filename="../queue.py"/>
        <source>Keep running</source>
        <translation>Weiter</translation>
    </message>
    <message>
        <location filename="../queue.py"/>
        <source>Stopping …</source>
        <translation>Beendet …</translation>
    </message>
    <message>
        <location filename="../queue.py"/>
        <source>{rate} frames per second</source>
        <translation>{rate} Bilder pro Sekunde</translation>
    </message>
    <message>
        <location filename="../queue.py"/>
        <source>about {time} left</source>
        <translation>noch etwa {time}</translation>
    </message>
    <message>
        <location filename="../queue.py"/>
        <source>The disk is full ({path}); free space, then resume.</source>
        <translation>Die Festplatte ist voll ({path}); schaffen Sie Platz und setzen Sie dann fort.</translation>
    </message>
    <message numerus="yes">
        <location filename="../queue.py"/>
        <source>%n files</source>
        <translation>
            <numerusform>%n Datei</numerusform>
            <numerusform>%n Dateien</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <location filename="../queue.py"/>
        <source>%n persons</source>
        <translation>
            <numerusform>%n Person</numerusform>
            <numerusform>%n Personen</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <location filename="../queue.py"/>
        <source>%n failed</source>
        <translation>
            <numerusform>%n fehlgeschlagen</numerusform>
            <numerusform>%n fehlgeschlagen</numerusform>
        </translation>
    </message>
    <message>
        <location filename="../queue.py"/>
        <source>Paused. Finished files are kept.</source>
        <translation>Angehalten. Was fertig ist, bleibt.</translation>
    </message>
    <message>
        <location filename="../queue.py"/>
        <source>failed: {reason}</source>
        <translation>fehlgeschlagen: {reason}</translation>
    </message>
    <message>
        <location filename="../queue.py"/>
        <source>at {time}</source>
        <translation>bei {time}</translation>
    </message>
    <message>
        <location filename="../queue.py"/>
        <source>Add videos</source>
        <translation>Videos hinzufügen</translation>
    </message>
    <message>
        <location filename="../queue.py"/>
        <source>Videos</source>
        <translation>Videos</translation>
    </message>
    <message>
        <location filename="../queue.py"/>
        <source>File</source>
        <translation>Datei</translation>
    </message>
    <message>
        <location filename="../queue.py"/>
        <source>Size</source>
        <translation>Größe</translation>
    </message>
    <message>
        <location filename="../queue.py"/>
        <source>State</source>
        <translation>Stand</translation>
    </message>
    <message>
        <location filename="../queue.py"/>
        <source>Add files…</source>
        <translation>Dateien hinzufügen…</translation>
    </message>
    <message>
        <location filename="../queue.py"/>
        <source>Add folder…</source>
        <translation>Ordner hinzufügen…</translation>
    </message>
    <message>
        <location filename="../queue.py"/>
        <source>Add a folder</source>
        <translation>Ordner hinzufügen</translation>
    </message>
    <message>
        <location filename="../queue.py"/>
        <source>Dataset…</source>
        <translation>Datensatz…</translation>
    </message>
    <message>
        <location filename="../queue.py"/>
        <source>Where results go</source>
        <translation>Wohin die Ergebnisse kommen</translation>
    </message>
    <message>
        <location filename="../queue.py"/>
        <source>Open dataset</source>
        <translation>Datensatz öffnen</translation>
    </message>
    <message>
        <location filename="../queue.py"/>
        <source>Start</source>
        <translation>Starten</translation>
    </message>
    <message>
        <location filename="../queue.py"/>
        <source>Close</source>
        <translation>Schließen</translation>
    </message>
    <message>
        <location filename="../record.py"/>
        <source>data only</source>
        <translation>nur Daten</translation>
    </message>
    <message>
        <location filename="../record.py"/>
        <source>faces covered</source>
        <translation>Gesichter verdeckt</translation>
    </message>
    <message>
        <location filename="../record.py"/>
        <source>video</source>
        <translation>Video</translation>
    </message>
    <message>
        <location filename="../record.py"/>
        <source>REC {time}  waiting for the source</source>
        <translation>REC {time}  wartet auf die Quelle</translation>
    </message>
    <message>
        <location filename="../record.py"/>
        <source>REC {time}  {mode}</source>
        <translation>REC {time}  {mode}</translation>
    </message>
    <message>
        <location filename="../record.py"/>
        <source>RECORDING STOPPED</source>
        <translation>AUFNAHME ABGEBROCHEN</translation>
    </message>
    <message>
        <location filename="../record.py"/>
        <source>The disk is nearly full: {space}. Free some space or end the recording.</source>
        <translation>Die Festplatte ist fast voll: {space}. Schaffen Sie Platz oder beenden Sie die Aufnahme.</translation>
    </message>
    <message>
        <location filename="../replay.py"/>
        <source>the recording</source>
        <translation>die Aufnahme</translation>
    </message>
    <message>
        <location filename="../replay.py"/>
        <source>Arrow keys: one frame; Page keys: a second</source>
        <translation>Pfeiltasten: ein Bild; Bild auf und ab: eine Sekunde</translation>
    </message>
    <message>
        <location filename="../replay.py"/>
        <source>Back to live</source>
        <translation>Zurück zu Live</translation>
    </message>
    <message>
        <location filename="../replay.py"/>
        <source>End the replay</source>
        <translation>Wiedergabe beenden</translation>
    </message>
    <message>
        <location filename="../replay.py"/>
        <source>Live</source>
        <translation>Live</translation>
    </message>
    <message>
        <location filename="../replaying.py"/>
        <source>To edit persons and markers, replay a session: choose one under Recorded sessions.</source>
        <translation>Personen und Marken einer Sitzung werden während ihrer Wiedergabe bearbeitet: Wählen Sie eine unter Aufgenommene Sitzungen.</translation>
    </message>
    <message numerus="yes">
        <location filename="../replaying.py"/>
        <source>%n markers written to {path}</source>
        <translation>
            <numerusform>%n Marke nach {path} geschrieben</numerusform>
            <numerusform>%n Marken nach {path} geschrieben</numerusform>
        </translation>
    </message>
    <message>
        <location filename="../sessions.py"/>
        <source>Video with overlay</source>
        <translation>Video mit Einblendung</translation>
    </message>
    <message>
        <location filename="../sessions.py"/>
        <source>no video</source>
        <translation>kein Video</translation>
    </message>
    <message>
        <location filename="../sessions.py"/>
        <source>whole</source>
        <translation>ganz</translation>
    </message>
    <message>
        <location filename="../sessions.py"/>
        <source>the analysed file</source>
        <translation>die ausgewertete Datei</translation>
    </message>
    <message>
        <location filename="../sessions.py"/>
        <source>Sessions</source>
        <translation>Sitzungen</translation>
    </message>
    <message>
        <location filename="../sessions.py"/>
        <source>Length</source>
        <translation>Länge</translation>
    </message>
    <message>
        <location filename="../sessions.py"/>
        <source>Video</source>
        <translation>Video</translation>
    </message>
    <message>
        <location filename="../sessions.py"/>
        <source>Recorded sessions</source>
        <translation>Aufgenommene Sitzungen</translation>
    </message>
    <message>
        <location filename="../sessions.py"/>
        <source>Nothing is recorded yet. Press the red button while the picture plays, or analyse a video.</source>
        <translation>Noch ist nichts aufgenommen. Drücken Sie den roten Knopf, während das Bild läuft, oder werten Sie ein Video aus.</translation>
    </message>
    <message>
        <location filename="../sessions.py"/>
        <source>Open a video…</source>
        <translation>Video öffnen…</translation>
    </message>
    <message>
        <location filename="../sessions.py"/>
        <source>Analyse a video…</source>
        <translation>Video auswerten…</translation>
    </message>
    <message>
        <location filename="../sessions.py"/>
        <source>Play it again (Enter)</source>
        <translation>Noch einmal abspielen (Eingabe)</translation>
    </message>
    <message>
        <location filename="../sessions.py"/>
        <source>A page with plots; choose two for side by side</source>
        <translation>Eine Seite mit Diagrammen; wählen Sie zwei für nebeneinander</translation>
    </message>
    <message>
        <location filename="../sessions.py"/>
        <source>Compare…</source>
        <translation>Vergleichen…</translation>
    </message>
    <message>
        <location filename="../sessions.py"/>
        <source>Named groups of sessions side by side</source>
        <translation>Benannte Gruppen von Sitzungen nebeneinander</translation>
    </message>
    <message>
        <location filename="../sessions.py"/>
        <source>As CSV, Parquet, annotations for ELAN, or video</source>
        <translation>Als CSV, Parquet, Annotationen für ELAN oder Video</translation>
    </message>
    <message>
        <location filename="../sessions.py"/>
        <source>Give it another name (F2)</source>
        <translation>Einen anderen Namen geben (F2)</translation>
    </message>
    <message>
        <location filename="../sessions.py"/>
        <source>Delete…</source>
        <translation>Löschen…</translation>
    </message>
    <message>
        <location filename="../sessions.py"/>
        <source>Move it to the trash (Delete)</source>
        <translation>In den Papierkorb verschieben (Entf)</translation>
    </message>
    <message>
        <location filename="../sessions.py"/>
        <source>Undo delete</source>
        <translation>Löschen rückgängig</translation>
    </message>
    <message>
        <location filename="../sessions.py"/>
        <source>Restore what was moved to the trash (Ctrl+Z)</source>
        <translation>Zurückholen, was in den Papierkorb verschoben wurde (Strg+Z)</translation>
    </message>
    <message>
        <location filename="../sessions.py"/>
        <source>Kept in {folder}</source>
        <translation>Liegt in {folder}</translation>
    </message>
    <message>
        <location filename="../sessions.py"/>
        <source>Export</source>
        <translation>Exportieren</translation>
    </message>
    <message>
        <location filename="../sessions.py"/>
        <source>Name of the session:</source>
        <translation>Name der Sitzung:</translation>
    </message>
    <message>
        <location filename="../sessions.py"/>
        <source> and others</source>
        <translation> und andere</translation>
    </message>
    <message>
        <location filename="../sessions.py"/>
        <source>Move {names} to the trash? Undo restores it; the trash is the folder {trash} of the sessions.</source>
        <translation>{names} in den Papierkorb verschieben? Rückgängig holt es zurück; der Papierkorb ist der Ordner {trash} bei den Sitzungen.</translation>
    </message>
    <message>
        <location filename="../sessions.py"/>
        <source>Move to trash</source>
        <translation>In den Papierkorb</translation>
    </message>
    <message>
        <location filename="../sessions.py"/>
        <source>Delete for good</source>
        <translation>Endgültig löschen</translation>
    </message>
    <message>
        <location filename="../sessions.py"/>
        <source> (incomplete)</source>
        <translation> (unvollständig)</translation>
    </message>
    <message>
        <location filename="../settings.py"/>
        <source>Quick</source>
        <translation>Schnell</translation>
    </message>
    <message>
        <location filename="../settings.py"/>
        <source>Balanced</source>
        <translation>Ausgewogen</translation>
    </message>
    <message>
        <location filename="../settings.py"/>
        <source>Calm</source>
        <translation>Ruhig</translation>
    </message>
    <message>
        <location filename="../settings.py"/>
        <source>Data only, no pictures</source>
        <translation>Nur Daten, keine Bilder</translation>
    </message>
    <message>
        <location filename="../settings.py"/>
        <source>Nobody can be identified from it</source>
        <translation>Niemand kann daran erkannt werden</translation>
    </message>
    <message>
        <location filename="../settings.py"/>
        <source>Video with faces covered</source>
        <translation>Video mit verdeckten Gesichtern</translation>
    </message>
    <message>
        <location filename="../settings.py"/>
        <source>Undetected faces are not covered</source>
        <translation>Ein Gesicht, das nicht gefunden wird, wird nicht verdeckt</translation>
    </message>
    <message>
        <location filename="../settings.py"/>
        <source>Video as it is</source>
        <translation>Video, wie es ist</translation>
    </message>
    <message>
        <location filename="../settings.py"/>
        <source>Those filmed must have agreed</source>
        <translation>Die Gefilmten müssen zugestimmt haben</translation>
    </message>
    <message>
        <location filename="../showing.py"/>
        <source>Faces appear here while the picture plays.</source>
        <translation>Gesichter erscheinen hier, während das Bild läuft.</translation>
    </message>
    <message>
        <location filename="../showing.py"/>
        <source>Opening {source} …</source>
        <translation>Öffnet {source} …</translation>
    </message>
    <message>
        <location filename="../showing.py"/>
        <source>Stopped. Press Start to continue.</source>
        <translation>Gestoppt. Mit „Starten“ geht es weiter.</translation>
    </message>
    <message>
        <location filename="../showing.py"/>
        <source>No picture</source>
        <translation>Kein Bild</translation>
    </message>
    <message>
        <location filename="../showing.py"/>
        <source>Plot written to {path}</source>
        <translation>Diagramm geschrieben: {path}</translation>
    </message>
    <message>
        <location filename="../showing.py"/>
        <source>Nothing to show</source>
        <translation>Nichts zu zeigen</translation>
    </message>
    <message>
        <location filename="../showing.py"/>
        <source>{source} has ended.</source>
        <translation>{source} ist zu Ende.</translation>
    </message>
    <message>
        <location filename="../showing.py"/>
        <source>Play again</source>
        <translation>Noch einmal abspielen</translation>
    </message>
    <message>
        <location filename="../showing.py"/>
        <source>Replay of {session}</source>
        <translation>Wiedergabe von {session}</translation>
    </message>
    <message>
        <location filename="../showing.py"/>
        <source>no pictures were recorded</source>
        <translation>ohne Bilder aufgezeichnet</translation>
    </message>
    <message>
        <location filename="../showing.py"/>
        <source>Press Start to continue.</source>
        <translation>Mit „Starten“ geht es weiter.</translation>
    </message>
    <message>
        <location filename="../snapshot.py"/>
        <source>Snapshot saved to {path}</source>
        <translation>Standbild gespeichert: {path}</translation>
    </message>
    <message>
        <location filename="../snapshot.py"/>
        <source>Open folder</source>
        <translation>Ordner öffnen</translation>
    </message>
    <message>
        <location filename="../status_bar.py"/>
        <source>Frames recognised per second; time from a frame's capture until it is on the screen (median); frames of a live source that were skipped to keep up</source>
        <translation>Erkannte Bilder pro Sekunde; Zeit von der Aufnahme eines Bildes, bis es auf dem Bildschirm ist (Median); Bilder einer Live-Quelle, die ausgelassen wurden, um Schritt zu halten</translation>
    </message>
    <message>
        <location filename="../status_bar.py"/>
        <source>Paused</source>
        <translation>Angehalten</translation>
    </message>
    <message>
        <location filename="../status_bar.py"/>
        <source>{latency} ms latency</source>
        <translation>{latency} ms Verzögerung</translation>
    </message>
    <message numerus="yes">
        <location filename="../status_bar.py"/>
        <source>%n dropped</source>
        <translation>
            <numerusform>%n ausgelassen</numerusform>
            <numerusform>%n ausgelassen</numerusform>
        </translation>
    </message>
    <message>
        <location filename="../thumbnails.py"/>
        <source>Pictures shown so far</source>
        <translation>Bisher betrachtete Bilder</translation>
    </message>
    <message>
        <location filename="../thumbnails.py"/>
        <source>unsure</source>
        <translation>unsicher</translation>
    </message>
    <message>
        <location filename="../thumbnails.py"/>
        <source>no face</source>
        <translation>kein Gesicht</translation>
    </message>
    <message>
        <location filename="../timeline.py"/>
        <source>Expressions over time appear here.</source>
        <translation>Ausdrücke im Zeitverlauf erscheinen hier.</translation>
    </message>
    <message>
        <location filename="../timeline.py"/>
        <source>{expression} of everyone</source>
        <translation>{expression} von allen</translation>
    </message>
    <message>
        <location filename="../timeline.py"/>
        <source>Share of this person's time so far</source>
        <translation>Anteil an der bisherigen Zeit dieser Person</translation>
    </message>
    <message>
        <location filename="../timeline.py"/>
        <source>Save as PNG or SVG…</source>
        <translation>Als PNG oder SVG speichern…</translation>
    </message>
    <message>
        <location filename="../timeline.py"/>
        <source>Whoever is there</source>
        <translation>Wer gerade da ist</translation>
    </message>
    <message>
        <location filename="../timeline.py"/>
        <source>Everyone</source>
        <translation>Alle</translation>
    </message>
    <message>
        <location filename="../timeline.py"/>
        <source>Relative</source>
        <translation>Relativ</translation>
    </message>
    <message>
        <location filename="../timeline.py"/>
        <source>Show differences from the neutral baseline instead of probabilities</source>
        <translation>Unterschiede zur neutralen Baseline statt Wahrscheinlichkeiten zeigen</translation>
    </message>
    <message>
        <location filename="../timeline.py"/>
        <source>Follow</source>
        <translation>Folgen</translation>
    </message>
    <message>
        <location filename="../timeline.py"/>
        <source>Show the newest seconds again</source>
        <translation>Wieder die neuesten Sekunden zeigen</translation>
    </message>
    <message>
        <location filename="../timeline.py"/>
        <source>Follow the newest frame</source>
        <translation>Dem neuesten Bild folgen</translation>
    </message>
    <message>
        <location filename="../timeline.py"/>
        <source>Classes</source>
        <translation>Klassen</translation>
    </message>
    <message>
        <location filename="../timeline.py"/>
        <source>Whose curves are shown</source>
        <translation>Wessen Kurven gezeigt werden</translation>
    </message>
    <message>
        <location filename="../timeline.py"/>
        <source>Which curves are shown</source>
        <translation>Welche Kurven gezeigt werden</translation>
    </message>
    <message>
        <location filename="../timeline.py"/>
        <source>Share of time per expression so far</source>
        <translation>Bisheriger Zeitanteil pro Ausdruck</translation>
    </message>
    <message>
        <location filename="../timeline_plot.py"/>
        <source>Probabilities over time</source>
        <translation>Wahrscheinlichkeiten im Zeitverlauf</translation>
    </message>
    <message>
        <location filename="../timeline_plot.py"/>
        <source>Wheel: zoom. Drag: move. Click: go there. M or 1 to 9: set a marker.</source>
        <translation>Mausrad: vergrößern. Ziehen: verschieben. Klick: dorthin gehen. M oder 1 bis 9: Marke setzen.</translation>
    </message>
    <message>
        <location filename="../toolbar.py"/>
        <source>Stop and release the camera (Ctrl+.)</source>
        <translation>Stoppen und die Kamera freigeben (Strg+.)</translation>
    </message>
    <message>
        <location filename="../toolbar.py"/>
        <source>Snapshot</source>
        <translation>Standbild</translation>
    </message>
    <message>
        <location filename="../toolbar.py"/>
        <source>Save the picture with its overlay (Ctrl+S)</source>
        <translation>Das Bild mit seiner Einblendung speichern (Strg+S)</translation>
    </message>
    <message>
        <location filename="../toolbar.py"/>
        <source>End the recording</source>
        <translation>Aufnahme beenden</translation>
    </message>
    <message>
        <location filename="../toolbar.py"/>
        <source>Record ({mode})</source>
        <translation>Aufnehmen ({mode})</translation>
    </message>
    <message>
        <location filename="../toolbar.py"/>
        <source>End</source>
        <translation>Beenden</translation>
    </message>
    <message>
        <location filename="../toolbar.py"/>
        <source>{what} (Ctrl+R); choose what to store in the Session menu</source>
        <translation>{what} (Strg+R); was behalten wird, wählen Sie unter Sitzung</translation>
    </message>
    <message>
        <location filename="../toolbar.py"/>
        <source>Pause (Space)</source>
        <translation>Das Bild anhalten (Leertaste)</translation>
    </message>
    <message>
        <location filename="../toolbar.py"/>
        <source>Resume (Space)</source>
        <translation>Fortsetzen (Leertaste)</translation>
    </message>
    <message>
        <location filename="../toolbar.py"/>
        <source>The source is being opened</source>
        <translation>Die Quelle wird geöffnet</translation>
    </message>
    <message>
        <location filename="../toolbar.py"/>
        <source>Start (Space)</source>
        <translation>Starten (Leertaste)</translation>
    </message>
    <message>
        <location filename="../transport.py"/>
        <source>One frame back</source>
        <translation>Ein Bild zurück</translation>
    </message>
    <message>
        <location filename="../transport.py"/>
        <source>Left</source>
        <translation>Links</translation>
    </message>
    <message>
        <location filename="../transport.py"/>
        <source>One frame on</source>
        <translation>Ein Bild vor</translation>
    </message>
    <message>
        <location filename="../transport.py"/>
        <source>Right</source>
        <translation>Rechts</translation>
    </message>
    <message>
        <location filename="../transport.py"/>
        <source>Place in {what}</source>
        <translation>Stelle: {what}</translation>
    </message>
    <message>
        <location filename="../transport.py"/>
        <source>Speed (- and +)</source>
        <translation>Tempo (- und +)</translation>
    </message>
    <message>
        <location filename="../transport.py"/>
        <source>Speed: {speed} times</source>
        <translation>Tempo: {speed}-fach</translation>
    </message>
    <message>
        <location filename="../transport.py"/>
        <source>{what} ({key}; with Shift five seconds)</source>
        <translation>{what} ({key}; mit Umschalt fünf Sekunden)</translation>
    </message>
    <message>
        <location filename="../transport.py"/>
        <source>Play</source>
        <translation>Abspielen</translation>
    </message>
    <message>
        <location filename="../transport.py"/>
        <source>{what} (Space)</source>
        <translation>{what} (Leertaste)</translation>
    </message>
    <message>
        <location filename="../transport.py"/>
        <source>{what} ({of})</source>
        <translation>{what} ({of})</translation>
    </message>
    <message>
        <location filename="../video.py"/>
        <source>Picture</source>
        <translation>Bild</translation>
    </message>
    <message>
        <location filename="../welcome.py"/>
        <source>
&lt;h3&gt;Before you begin&lt;/h3&gt;
&lt;p&gt;edgeemo shows which &lt;b&gt;expression&lt;/b&gt; a face in a picture resembles. It cannot see what somebody feels, and it is
often wrong: the engine's card, in every report, says how often.&lt;/p&gt;
&lt;p&gt;&lt;b&gt;Nothing leaves this machine.&lt;/b&gt; Pictures are analysed here and forgotten; something is kept only while the red
light says that it is recorded, and without pictures unless you choose otherwise under Session.&lt;/p&gt;
&lt;p&gt;&lt;b&gt;Ask those who are filmed&lt;/b&gt;, and let them see what is recorded. Expressions of a person who can be recognised are
personal data.&lt;/p&gt;
&lt;p&gt;&lt;b&gt;Not at work, not in education.&lt;/b&gt; In the European Union inferring the emotions of people there is forbidden since
2 February 2025, medical and safety reasons apart (AI Act, Regulation (EU) 2024/1689, article 5(1)(f)). Elsewhere other
rules may apply.&lt;/p&gt;
</source>
        <translation>
&lt;h3&gt;Bevor Sie beginnen&lt;/h3&gt;
&lt;p&gt;edgeemo zeigt, welchem &lt;b&gt;Ausdruck&lt;/b&gt; ein Gesicht in einem Bild ähnelt. Es kann nicht sehen, was jemand fühlt, und es
irrt sich oft: Wie oft, sagt die Karte der Engine, in jedem Bericht.&lt;/p&gt;
&lt;p&gt;&lt;b&gt;Nichts verlässt diesen Rechner.&lt;/b&gt; Bilder werden hier ausgewertet und vergessen; behalten wird nur etwas, solange
das rote Licht sagt, dass aufgenommen wird, und ohne Bilder, wenn Sie unter Sitzung nichts anderes wählen.&lt;/p&gt;
&lt;p&gt;&lt;b&gt;Fragen Sie die Gefilmten&lt;/b&gt;, und zeigen Sie ihnen, was aufgenommen wird. Ausdrücke einer Person, die erkannt werden
kann, sind personenbezogene Daten.&lt;/p&gt;
&lt;p&gt;&lt;b&gt;Nicht bei der Arbeit, nicht in der Bildung.&lt;/b&gt; In der Europäischen Union ist es seit dem 2. Februar 2025 verboten,
dort auf die Emotionen von Personen zu schließen, außer aus medizinischen Gründen und Sicherheitsgründen (KI-Verordnung (EU)
2024/1689, Artikel 5 Absatz 1 Buchstabe f). Anderswo können andere Regeln gelten.&lt;/p&gt;
</translation>
    </message>
    <message>
        <location filename="../welcome.py"/>
        <source>Welcome to edgeemo</source>
        <translation>Willkommen bei edgeemo</translation>
    </message>
    <message>
        <location filename="../welcome.py"/>
        <source>I understand</source>
        <translation>Ich habe verstanden</translation>
    </message>
    <message>
        <location filename="../welcome.py"/>
        <source>Findings</source>
        <translation>Befunde</translation>
    </message>
    <message>
        <location filename="../welcome.py"/>
        <source>Looking …</source>
        <translation>Sieht nach …</translation>
    </message>
    <message>
        <location filename="../welcome.py"/>
        <source>self-test</source>
        <translation>Selbsttest</translation>
    </message>
    <message>
        <location filename="../welcome.py"/>
        <source>This is a bug in edgeemo; please report it.</source>
        <translation>Das ist ein Fehler von edgeemo; melden Sie ihn.</translation>
    </message>
    <message>
        <location filename="../welcome.py"/>
        <source>edgeemo can run here.</source>
        <translation>edgeemo kann hier laufen.</translation>
    </message>
    <message numerus="yes">
        <location filename="../welcome.py"/>
        <source>%n to fix: see → below.</source>
        <translation>
            <numerusform>%n zu beheben: siehe → unten.</numerusform>
            <numerusform>%n zu beheben: siehe → unten.</numerusform>
        </translation>
    </message>
    <message>
        <location filename="../window.py"/>
        <source>A queue of videos was not finished.</source>
        <translation>Eine Warteschlange von Videos wurde nicht fertig.</translation>
    </message>
    <message>
        <location filename="../words.py"/>
        <source>Neutral</source>
        <translation>Neutral</translation>
    </message>
    <message>
        <location filename="../words.py"/>
        <source>Happiness</source>
        <translation>Freude</translation>
    </message>
    <message>
        <location filename="../words.py"/>
        <source>Sadness</source>
        <translation>Trauer</translation>
    </message>
    <message>
        <location filename="../words.py"/>
        <source>Surprise</source>
        <translation>Überraschung</translation>
    </message>
    <message>
        <location filename="../words.py"/>
        <source>Fear</source>
        <translation>Angst</translation>
    </message>
    <message>
        <location filename="../words.py"/>
        <source>Disgust</source>
        <translation>Ekel</translation>
    </message>
    <message>
        <location filename="../words.py"/>
        <source>Anger</source>
        <translation>Ärger</translation>
    </message>
    <message>
        <location filename="../words.py"/>
        <source>Contempt</source>
        <translation>Verachtung</translation>
    </message>
    <message>
        <location filename="../words.py"/>
        <source>None of these</source>
        <translation>Keiner davon</translation>
    </message>
    <message>
        <location filename="../words.py"/>
        <source>Uncertain</source>
        <translation>Ungewiss</translation>
    </message>
    <message>
        <location filename="../words.py"/>
        <source>Other</source>
        <translation>Anderes</translation>
    </message>
    <message>
        <location filename="../words.py"/>
        <source>Unsure</source>
        <translation>Unsicher</translation>
    </message>
    <message>
        <location filename="../words.py"/>
        <source>neutral</source>
        <translation>neutral</translation>
    </message>
    <message>
        <location filename="../words.py"/>
        <source>happiness</source>
        <translation>Freude</translation>
    </message>
    <message>
        <location filename="../words.py"/>
        <source>sadness</source>
        <translation>Trauer</translation>
    </message>
    <message>
        <location filename="../words.py"/>
        <source>surprise</source>
        <translation>Überraschung</translation>
    </message>
    <message>
        <location filename="../words.py"/>
        <source>fear</source>
        <translation>Angst</translation>
    </message>
    <message>
        <location filename="../words.py"/>
        <source>disgust</source>
        <translation>Ekel</translation>
    </message>
    <message>
        <location filename="../words.py"/>
        <source>anger</source>
        <translation>Ärger</translation>
    </message>
    <message>
        <location filename="../words.py"/>
        <source>contempt</source>
        <translation>Verachtung</translation>
    </message>
    <message>
        <location filename="../words.py"/>
        <source>none of these</source>
        <translation>keiner davon</translation>
    </message>
    <message>
        <location filename="../words.py"/>
        <source>uncertain</source>
        <translation>ungewiss</translation>
    </message>
    <message>
        <location filename="../words.py"/>
        <source>other</source>
        <translation>anderes</translation>
    </message>
    <message>
        <location filename="../words.py"/>
        <source>face {value} px</source>
        <translation>Gesicht {value} px</translation>
    </message>
    <message>
        <location filename="../words.py"/>
        <source>turned {value} degrees</source>
        <translation>{value} Grad gedreht</translation>
    </message>
    <message>
        <location filename="../words.py"/>
        <source>leaning {value} degrees</source>
        <translation>{value} Grad geneigt</translation>
    </message>
    <message>
        <location filename="../words.py"/>
        <source>{value} % sure</source>
        <translation>{value} % sicher</translation>
    </message>
    <message>
        <location filename="../words.py"/>
        <source>too dark</source>
        <translation>zu dunkel</translation>
    </message>
    <message>
        <location filename="../words.py"/>
        <source>too bright</source>
        <translation>zu hell</translation>
    </message>
    <message>
        <location filename="../words.py"/>
        <source>hardly any contrast</source>
        <translation>kaum Kontrast</translation>
    </message>
    <message>
        <location filename="../words.py"/>
        <source>blurred</source>
        <translation>unscharf</translation>
    </message>
    <message>
        <location filename="../words.py"/>
        <source>damaged picture</source>
        <translation>beschädigtes Bild</translation>
    </message>
    <message>
        <location filename="../words.py"/>
        <source>between {first} and {second}</source>
        <translation>zwischen {first} und {second}</translation>
    </message>
    <message>
        <location filename="../words.py"/>
        <source>Unsure: {reason}</source>
        <translation>Unsicher: {reason}</translation>
    </message>
    <message>
        <location filename="../words.py"/>
        <source>Person {number}</source>
        <translation>Person {number}</translation>
    </message>
    <message>
        <location filename="../words.py"/>
        <source>d MMM yyyy HH:mm</source>
        <translation>d. MMM yyyy HH:mm</translation>
    </message>
</context>
</TS>
